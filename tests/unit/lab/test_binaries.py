"""The lab builds the versions that the product installs."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess

import pytest

from provision.lab.binaries import (
    _ENVIRONMENT,
    _FLAGS,
    _groups,
    group_names,
    groups_for,
    module_version,
)
from provision.lab.toolchain import GO_AT_LEAST
from provision.lab.versions import lab_versions
from provision.model.units import minor_of
from provision.paths import content_root
from provision.versions import versions

GO = content_root() / "lab" / "go"


@pytest.mark.parametrize("minor", sorted(lab_versions().kubernetes.minors))
def test_each_minor_is_built_from_the_versions_that_the_lab_offers(minor: str) -> None:
    offered = lab_versions().kubernetes.minors[minor]
    groups = groups_for(minor)

    assert minor_of(offered.version) == minor
    assert module_version(groups["kubernetes"]) == f"v{offered.version}"
    assert module_version(groups["etcd"]) == f"v{offered.etcd}"


def test_each_runtime_is_built_from_the_version_that_the_lab_offers() -> None:
    offered = lab_versions()
    crios = {f"crio-{minor}": one.crio for minor, one in offered.kubernetes.minors.items() if one.crio}

    for group, version in {
        **{f"containerd-{minor_of(version)}": version for version in offered.containerd},
        **crios,
        "cri-dockerd": offered.docker.cri_dockerd,
    }.items():
        assert module_version(group) == f"v{version}"


def test_only_a_group_that_needs_c_has_other_flags_and_another_key() -> None:
    for name, group in _groups().items():
        plain = [dict(group.programs), dict(group.linked), group.files, _FLAGS, _ENVIRONMENT]

        if name.startswith("crio-"):
            assert group.environment()["CGO_ENABLED"] == "1"
            assert group.flags()[-1].endswith("-extldflags=-static")
            assert group.recipe() != json.dumps(plain)
        else:
            assert group.environment()["CGO_ENABLED"] == "0"
            assert "-tags" not in group.flags()
            assert group.recipe() == json.dumps(plain)


def test_a_new_lab_has_a_minor_that_the_lab_builds() -> None:
    assert lab_versions().kubernetes.default in lab_versions().kubernetes.minors


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


def test_every_group_has_its_directory_and_every_directory_is_a_group() -> None:
    assert sorted(group_names()) == sorted(path.name for path in GO.iterdir())


@pytest.mark.lab
def test_the_calico_manifests_of_the_module_have_the_pinned_digests() -> None:
    from provision.lab.binaries import build_binaries  # noqa: PLC0415  (Go is needed only here)

    place = build_binaries("calico", lambda _line: None) / "manifests"

    pinned = versions().calico.manifests[lab_versions().calico]
    digests = {name: hashlib.sha256((place / f"{name}.yaml").read_bytes()).hexdigest() for name in pinned}
    assert digests == pinned


@pytest.mark.lab
def test_kubeadm_reports_the_requested_version() -> None:
    from provision.lab.binaries import build_binaries  # noqa: PLC0415  (Go is needed only here)

    offered = lab_versions().kubernetes
    kubeadm = build_binaries(f"kubernetes-{offered.default}", lambda _line: None) / "kubeadm"

    said = subprocess.run(
        [kubeadm, "version", "-o", "short"], capture_output=True, text=True, check=True
    ).stdout
    assert said.strip() == f"v{offered.minors[offered.default].version}"
