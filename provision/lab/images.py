"""The container images that a cluster in the lab pulls, under their public names, made from the built programs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from provision.errors import LabError
from provision.lab import layers, registry
from provision.lab.binaries import binaries, group_names
from provision.lab.cache import Tell, digest_of, entry
from provision.lab.image_definitions import ImageDefinitions, image_definitions
from provision.lab.layers import tree_layer, write_layer
from provision.lab.registry import Storage
from provision.lab.toolchain import require_packages, run
from provision.versions import versions

TOOLS = (*layers.TOOLS, *registry.TOOLS)  # Debian packages of this computer


@dataclass(frozen=True, slots=True)
class Images:
    """A registry's root directory and what it holds: `registry.k8s.io/pause:3.10.2` is served under just that name."""

    directory: Path
    references: tuple[str, ...]


def images(tell: Tell) -> Images:
    """Every image of the lab, from the cache or made now. Raises LabError."""
    require_packages(TOOLS, tell)
    definitions = image_definitions()
    with ThreadPoolExecutor(1) as beside:  # one of them downloads, the other compiles
        tree = beside.submit(tree_layer, definitions.tree, tell)
        wanted = frozenset(group for image in definitions.images.values() for group in image.groups())
        groups = {name: binaries(name, tell) for name in group_names() if name in wanted}
        base = tree.result()
    references = _references(groups["kubernetes"] / "kubeadm")
    _check(definitions, references)

    def build(into: Path) -> None:
        _build(definitions, references, groups, base, into)

    key = digest_of(
        definitions.model_dump_json(),
        " ".join(references),
        " ".join(sorted(directory.name for directory in groups.values())),
        base.parent.name,
        *(Path(module.__file__ or "") for module in (layers, registry)),
    )
    place = entry("images", key, build, title=f"{len(references)} container images", tell=tell)
    return Images(place, references)


def _references(kubeadm: Path) -> tuple[str, ...]:
    """Images that this kubeadm asks for, Calico's and the smoke test's."""
    wanted = versions()
    version = f"v{wanted.kubernetes.default}"
    asked = run([str(kubeadm), "config", "images", "list", "--kubernetes-version", version]).split()
    calico = [f"{name}:{wanted.calico.version}" for name in wanted.calico.images]
    return (*asked, *calico, wanted.smoke_test.image)


def _check(definitions: ImageDefinitions, references: tuple[str, ...]) -> None:
    undefined = [one for one in references if one.rpartition(":")[0] not in definitions.images]
    if undefined:
        raise LabError(f"lab/images/images.yaml does not say what {', '.join(undefined)} is made of")


def _build(
    definitions: ImageDefinitions,
    references: tuple[str, ...],
    groups: dict[str, Path],
    tree: Path,
    into: Path,
) -> None:
    storage, scratch = Storage(into), into / "layer.tar"
    base = storage.add_layer(tree)
    for reference in references:
        definition = definitions.images[reference.rpartition(":")[0]]
        write_layer(definition, groups, scratch)
        own = storage.add_layer(scratch)
        storage.add_image(reference, (base, own) if definition.tree else (own,), definition.settings())
    scratch.unlink()
