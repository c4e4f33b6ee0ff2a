"""Container images of the lab's registry under their public names, built from programs and `lab/images/images.yaml`."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field

from provision.errors import LabError
from provision.lab.binaries import build_binaries, groups_for
from provision.lab.cache import Progress, compute_key, get_or_build
from provision.lab.toolchain import require_packages, unpack
from provision.lab.versions import lab_versions
from provision.mirror import images as writer
from provision.mirror.tools import run
from provision.paths import content_root
from provision.versions import versions

TOOLS = ("mmdebstrap", *writer.TOOLS)  # Debian packages of this computer

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
Groups = Mapping[str, Path]  # family of binaries -> the directory of one version of it

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Tree(_Frozen):
    """A minimal Debian: packages unpacked without running scripts, less files that match a glob of `without`."""

    suite: str
    packages: tuple[str, ...]
    without: tuple[str, ...]


class Definition(_Frozen):
    """One image. Paths are absolute in the image; values of `copies` are `<family of binaries>/<path>`.

    `make` has directories as path -> `<owner>:<octal mode>`, `links` symbolic links as path -> target.
    """

    copies: Mapping[str, str] = Field(default={}, alias="copy")
    make: Mapping[str, str] = {}
    links: Mapping[str, str] = {}
    tree: bool = False
    environment: Mapping[str, str] = {}
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    user: str = ""

    def families(self) -> frozenset[str]:
        """Return the families of binaries that it copies from."""
        return frozenset(source.partition("/")[0] for source in self.copies.values())

    def settings(self) -> dict[str, object]:
        """Return the `config` object of its OCI configuration: how a container starts."""
        settings: dict[str, object] = {
            "Env": [f"{name}={value}" for name, value in {"PATH": _PATH, **self.environment}.items()],
            "WorkingDir": "/",
        }
        if self.entrypoint:
            settings["Entrypoint"] = list(self.entrypoint)
        if self.command:
            settings["Cmd"] = list(self.command)
        if self.user:
            settings["User"] = self.user
        return settings


class ImageDefinitions(_Frozen):
    """The whole file: the base tree of some images, and the images by repository (`quay.io/calico/node`)."""

    tree: Tree
    images: Mapping[str, Definition]


def image_definitions() -> ImageDefinitions:
    """Read `lab/images/images.yaml`."""
    text = (content_root() / "lab" / "images" / "images.yaml").read_text()
    return ImageDefinitions.model_validate(yaml.safe_load(text))


@dataclass(frozen=True, slots=True)
class Images:
    """A registry's root directory, and the names of its images such as `registry.k8s.io/pause:3.10.2`."""

    directory: Path
    references: tuple[str, ...]


def build_images(minors: tuple[str, ...], progress: Progress) -> Images:
    """Return the images of these Kubernetes minors, of Calico and of the smoke test, built if not in the cache.

    An image that several minors ask for is built of the first one's programs. Raises LabError and ToolError.
    """
    require_packages(TOOLS, progress)
    definitions = image_definitions()
    with ThreadPoolExecutor(1) as beside:  # the tree downloads while programs compile
        tree = beside.submit(_tree_layer, definitions.tree, progress)
        wanted: dict[str, Groups] = {}
        for minor in minors:
            groups = _groups(minor, definitions, progress)
            for reference in _references(groups["kubernetes"] / "kubeadm", minor):
                wanted.setdefault(reference, groups)
        base = tree.result()
    _check(definitions, tuple(wanted))

    def build(into: Path) -> None:
        _build(definitions, wanted, base, into)

    key = compute_key(
        definitions.model_dump_json(),
        json.dumps(
            [[one, sorted(place.name for place in groups.values())] for one, groups in wanted.items()]
        ),
        base.parent.name,
        Path(writer.__file__),
        Path(__file__),
    )
    place = get_or_build("images", key, build, title=f"{len(wanted)} container images", progress=progress)
    return Images(place, tuple(wanted))


def _groups(minor: str, definitions: ImageDefinitions, progress: Progress) -> Groups:
    """Return the directories of the families of binaries that the images copy from, for that minor."""
    wanted = frozenset(family for image in definitions.images.values() for family in image.families())
    return {
        family: build_binaries(group, progress)
        for family, group in groups_for(minor).items()
        if family in wanted
    }


def _references(kubeadm: Path, minor: str) -> tuple[str, ...]:
    """Return the images that this kubeadm, the lab's Calico and the product's smoke test ask for."""
    wanted, offered = versions(), lab_versions()
    version = f"v{offered.kubernetes.minors[minor].version}"
    asked = run([str(kubeadm), "config", "images", "list", "--kubernetes-version", version]).split()
    calico = [f"{name}:v{offered.calico}" for name in wanted.calico.images]
    return (*asked, *calico, wanted.smoke_test.image)


def _check(definitions: ImageDefinitions, references: tuple[str, ...]) -> None:
    undefined = [one for one in references if one.rpartition(":")[0] not in definitions.images]
    if undefined:
        raise LabError(f"lab/images/images.yaml does not say what {', '.join(undefined)} is made of")


def _build(definitions: ImageDefinitions, wanted: Mapping[str, Groups], tree: Path, into: Path) -> None:
    storage, scratch = writer.Storage(into, _architecture()), into / "layer.tar"
    base = storage.add_layer(tree)
    for reference, groups in wanted.items():
        definition = definitions.images[reference.rpartition(":")[0]]
        _write_layer(definition, groups, scratch)
        own = storage.add_layer(scratch)
        storage.add_image(reference, (base, own) if definition.tree else (own,), definition.settings())
    scratch.unlink()


def _tree_layer(tree: Tree, progress: Progress) -> Path:
    """Return the layer with the Debian tree, built in about 10 s if not in the cache. Raises ToolError."""

    def build(into: Path) -> None:
        whole = into / "whole.tar"
        unpack(tree.packages, tree.suite, whole)
        writer.filter_layer(whole, into / "layer.tar", tree.without)
        whole.unlink()

    key, title = compute_key(tree.model_dump_json(), Path(writer.__file__)), f"the images' {tree.suite} tree"
    return get_or_build("image-tree", key, build, title=title, progress=progress) / "layer.tar"


def _write_layer(definition: Definition, groups: Groups, target: Path) -> None:
    """Write the image's own layer; `groups` are the directories of its families of binaries."""
    directories = {path: owner_and_mode.split(":") for path, owner_and_mode in definition.make.items()}
    files = {path: source.partition("/") for path, source in definition.copies.items()}
    writer.write_layer(
        target,
        directories={path: (int(owner), int(mode, 8)) for path, (owner, mode) in directories.items()},
        files={path: groups[group] / name for path, (group, _, name) in files.items()},
        links=definition.links,
    )


def _architecture() -> str:
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        raise LabError(f"the lab has no images for the architecture {machine}")
    return _ARCHITECTURES[machine]
