"""The lab's images: their definitions, and a real registry over the written storage."""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil
import socket
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from provision.errors import LabError, ProvisionError
from provision.lab import images, mirror
from provision.lab.binaries import _groups, groups_for
from provision.lab.images import Definition, Tree, image_definitions
from provision.lab.toolchain import require_packages
from provision.lab.versions import lab_versions
from provision.mirror import servers
from provision.mirror.images import TOOLS, Storage
from provision.versions import versions

REFERENCE = "registry.k8s.io/coredns/coredns:v1.0"
ACCEPT = {"Accept": "application/vnd.oci.image.manifest.v1+json"}


@pytest.fixture(scope="session", autouse=True)
def tools() -> None:
    try:
        require_packages(TOOLS, print)
    except ProvisionError as error:
        pytest.skip(f"{error.message}: {error.fix}")


@pytest.fixture
def groups(tmp_path: Path) -> dict[str, Path]:
    place = tmp_path / "binaries" / "demo-0123"
    place.mkdir(parents=True)
    (place / "program").write_bytes(b"program")
    return {"demo": place}


def layer(tmp_path: Path, groups: dict[str, Path], **definition: object) -> Path:
    target = tmp_path / "layer.tar"
    images._write_layer(Definition.model_validate(definition), groups, target)
    return target


def members(path: Path) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(path) as archive:
        return {member.name: member for member in archive.getmembers()}


def test_every_image_is_made_of_programs_that_the_lab_builds() -> None:
    for minor in lab_versions().kubernetes.minors:
        groups = {family: _groups()[group] for family, group in groups_for(minor).items()}
        built = {f"{name}/{part}" for name, one in groups.items() for part in (*one.programs, *one.files)}

        for repository, definition in image_definitions().images.items():
            for source in definition.copies.values():
                assert any(source == one or source.startswith(f"{one}/") for one in built), (
                    repository,
                    source,
                )


def test_what_calico_and_the_smoke_test_ask_for_is_defined() -> None:
    wanted = [*versions().calico.images, versions().smoke_test.image.rpartition(":")[0]]

    assert set(wanted) <= image_definitions().images.keys()


def test_an_image_that_kubeadm_asks_for_without_a_definition_is_named() -> None:
    with pytest.raises(LabError, match=r"what registry\.k8s\.io/new:v1 is made of"):
        images._check(image_definitions(), ("registry.k8s.io/pause:3.10.2", "registry.k8s.io/new:v1"))


def test_each_image_is_made_of_the_first_minor_that_asks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = "registry.k8s.io/pause:3.10.2"
    asked = {minor: (f"registry.k8s.io/kube-proxy:v{minor}", shared) for minor in ("1.36", "1.37")}
    monkeypatch.setenv("PROVISION_CACHE", str(tmp_path))
    monkeypatch.setattr(images, "_tree_layer", lambda *_: tmp_path / "tree-0123" / "layer.tar")
    monkeypatch.setattr(images, "build_binaries", lambda group, _: tmp_path / group)
    monkeypatch.setattr(images, "_references", lambda _kubeadm, minor: asked[minor])
    made: dict[str, str] = {}
    monkeypatch.setattr(
        images,
        "_build",
        lambda _definitions, wanted, *_: made.update(
            {reference: groups["kubernetes"].name for reference, groups in wanted.items()}
        ),
    )

    built = images.build_images(("1.37", "1.36"), lambda _line: None)

    assert made == {
        asked["1.36"][0]: "kubernetes-1.36",
        asked["1.37"][0]: "kubernetes-1.37",
        shared: "kubernetes-1.37",
    }
    assert set(built.references) == made.keys()


def test_directories_have_their_owner_and_links_their_target(tmp_path: Path, groups: dict[str, Path]) -> None:
    found = members(layer(tmp_path, groups, make={"/status": "999:0700"}, links={"/sbin/a": "b"}))

    assert (found["status"].isdir(), found["status"].uid, found["status"].mode) == (True, 999, 0o700)
    assert (found["sbin/a"].issym(), found["sbin/a"].linkname) == (True, "b")


def test_a_trees_cache_key_depends_on_its_packages() -> None:
    tree = image_definitions().tree

    assert "iptables" in tree.packages
    assert Tree(suite=tree.suite, packages=(), without=()).model_dump_json() != tree.model_dump_json()


@pytest.fixture
def ask(tmp_path: Path, groups: dict[str, Path]) -> Iterator[Callable[[str], bytes]]:
    """A real registry over a storage with one image; the function returns the body of a path."""
    program = shutil.which("docker-registry")
    try:
        program = program or str(mirror.unpack_registry(print))
    except ProvisionError as error:
        pytest.skip(f"no registry here: {error.message}")
    storage = Storage(tmp_path / "storage", "amd64")
    storage.root.mkdir()
    packed = storage.add_layer(layer(tmp_path, groups, copy={"/coredns": "demo/program"}))
    storage.add_image(REFERENCE, (packed,), Definition(entrypoint=("/coredns",), user="999").settings())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = tmp_path / "registry.json"
    mirror.ensure_server(servers.registry(Path(program), storage.root, "127.0.0.1", port, settings), ())

    def get(path: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", path, headers=ACCEPT)
        response = connection.getresponse()
        body = response.read()
        connection.close()
        assert response.status == http.HTTPStatus.OK, body
        return body

    yield get
    mirror.stop_server(settings)


def test_a_registry_serves_the_image_under_its_public_name(ask: Callable[[str], bytes]) -> None:
    repository, _, tag = REFERENCE.rpartition(":")
    manifest = json.loads(ask(f"/v2/{repository}/manifests/{tag}"))
    config = json.loads(ask(f"/v2/{repository}/blobs/{manifest['config']['digest']}"))
    blobs = [ask(f"/v2/{repository}/blobs/{one['digest']}") for one in manifest["layers"]]

    assert config["config"]["Entrypoint"] == ["/coredns"]
    assert config["config"]["User"] == "999"
    for blob, described, content in zip(blobs, manifest["layers"], config["rootfs"]["diff_ids"], strict=True):
        unpacked = subprocess.run(["zstd", "-dc"], input=blob, capture_output=True, check=True).stdout
        assert described["size"] == len(blob)
        assert described["digest"] == f"sha256:{hashlib.sha256(blob).hexdigest()}"
        assert content == f"sha256:{hashlib.sha256(unpacked).hexdigest()}"


def test_the_registry_knows_just_the_images_that_were_added(ask: Callable[[str], bytes]) -> None:
    assert json.loads(ask("/v2/_catalog")) == {"repositories": [REFERENCE.rpartition(":")[0]]}
