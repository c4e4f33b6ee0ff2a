"""The lab builds the versions that the product installs."""

from __future__ import annotations

import hashlib
import re
import subprocess

import pytest

from provision.lab.binaries import group_names, module_version
from provision.lab.toolchain import GO_AT_LEAST
from provision.paths import content_root
from provision.versions import versions

GO = content_root() / "lab" / "go"


def test_the_lab_builds_the_versions_that_the_product_chooses() -> None:
    chosen = versions()

    assert module_version("kubernetes") == f"v{chosen.kubernetes.default}"
    assert module_version("containerd") == f"v{chosen.containerd.version}"


def test_the_smoke_tests_image_is_the_one_of_this_kubernetes() -> None:
    assert re.fullmatch(r"registry\.k8s\.io/e2e-test-images/agnhost:[0-9.]+", versions().smoke_test.image)


@pytest.mark.parametrize("directory", sorted(path.name for path in GO.iterdir()))
def test_every_module_file_is_pinned_and_names_no_local_path(directory: str) -> None:
    text = (GO / directory / "go.mod").read_text()

    assert re.match(r"module provision\.lab/", text)
    assert not re.search(r"=> [./]", text)
    if "require" in text:
        assert (GO / directory / "go.sum").stat().st_size > 0


@pytest.mark.parametrize("directory", sorted(path.name for path in GO.iterdir()))
def test_the_go_that_is_accepted_builds_every_group(directory: str) -> None:
    asked = re.search(r"^go (\d+)\.(\d+)(?:\.(\d+))?$", (GO / directory / "go.mod").read_text(), re.MULTILINE)

    assert asked is not None
    assert tuple(int(part or 0) for part in asked.groups()) <= GO_AT_LEAST


def test_every_group_has_its_directory() -> None:
    assert len(group_names()) == len(list(GO.iterdir()))


@pytest.mark.lab
def test_the_calico_manifests_of_the_module_have_the_pinned_digests() -> None:
    from provision.lab.binaries import build_binaries  # noqa: PLC0415  (Go is needed only here)

    place = build_binaries("calico", lambda _line: None) / "manifests"

    digests = {
        name: hashlib.sha256((place / f"{name}.yaml").read_bytes()).hexdigest()
        for name in versions().calico.manifests
    }
    assert digests == dict(versions().calico.manifests)


@pytest.mark.lab
def test_kubeadm_reports_the_requested_version() -> None:
    from provision.lab.binaries import build_binaries  # noqa: PLC0415  (Go is needed only here)

    kubeadm = build_binaries("kubernetes", lambda _line: None) / "kubeadm"

    said = subprocess.run(
        [kubeadm, "version", "-o", "short"], capture_output=True, text=True, check=True
    ).stdout
    assert said.strip() == f"v{versions().kubernetes.default}"
