"""The tables of versions.yaml: what goes with what, and the defaults that follow from it."""

from __future__ import annotations

import pytest

from provision.lab.versions import lab_versions
from provision.model.matrix import calico_mismatch, containerd_mismatch
from provision.model.units import minor_of, numbers_of
from provision.versions import versions

KUBERNETES = versions().kubernetes
CONTAINERD, CALICO = versions().containerd.version, versions().calico.version


def test_the_default_is_the_newest_patch_of_the_newest_minor_that_everything_is_tested_with() -> None:
    whole = [
        name
        for name, minor in KUBERNETES.minors.items()
        if not minor.existing_only
        and minor_of(CONTAINERD) in minor.containerd
        and containerd_mismatch(name, CONTAINERD) == ""
        and minor_of(CALICO) in minor.calico
    ]
    assert KUBERNETES.default == KUBERNETES.minors[max(whole, key=numbers_of)].patch


def test_this_releases_calico_is_the_newest_that_it_can_install_on_its_default() -> None:
    manifests = versions().calico.manifests
    fits = [one for one in manifests if not calico_mismatch(KUBERNETES.default, one)]
    assert max(fits, key=numbers_of) == CALICO
    assert all(set(names) == {"calico", "calico-vxlan"} for names in manifests.values())
    assert {len(digest) for names in manifests.values() for digest in names.values()} == {64}


def test_this_releases_containerd_gets_fixes_longer_than_any_other_line() -> None:
    ends = versions().containerd.ends
    assert max(ends, key=lambda line: ends[line]) == minor_of(CONTAINERD)


def test_the_digest_of_this_releases_cri_dockerd_is_known_for_every_architecture() -> None:
    docker = versions().docker
    assert numbers_of(docker.cri_dockerd) >= (0, 3, 17)  # the first one with RuntimeConfig
    names = {f"cri-dockerd-{docker.cri_dockerd}.{architecture}.tgz" for architecture in ("amd64", "arm64")}
    assert set(docker.digests) == names
    assert {len(digest) for digest in docker.digests.values()} == {64}


def test_a_minor_has_its_own_patch_and_known_lines_and_the_newer_minor_ends_later() -> None:
    minors = KUBERNETES.minors
    for name, minor in minors.items():
        assert minor_of(minor.patch) == minor_of(minor.crio) == name
        assert set(minor.containerd) <= set(versions().containerd.ends)
        assert all(minor_of(oldest) == line for line, oldest in minor.containerd.items())
    assert sorted(minors, key=lambda name: minors[name].end) == sorted(minors, key=numbers_of)
    assert KUBERNETES.creatable == ("1.34", "1.35", "1.36", "1.37")


def test_broken_patches_are_below_the_newest_known_one_of_their_minor() -> None:
    for broken in KUBERNETES.broken:
        newest = KUBERNETES.minors[minor_of(broken.first)].patch
        assert numbers_of(broken.first) < numbers_of(broken.fixed) <= numbers_of(newest)


def test_the_etcd_that_the_lab_builds_for_a_minor_is_the_one_in_the_table() -> None:
    offered = lab_versions().kubernetes.minors
    assert {name: minor.etcd for name, minor in offered.items()} == {
        name: KUBERNETES.minors[name].etcd for name in offered
    }


@pytest.mark.parametrize(
    ("kubernetes", "containerd", "fits"),
    [
        ("1.36.6", "2.2.0", True),
        ("1.36.6", "2.1.9", False),
        ("1.37.2", "2.2.7", False),
        ("1.35.10", "2.1.5", True),
        ("1.35.10", "2.1.4", False),
        ("1.35.10", "2.0.9", False),
        ("1.34.13", "2.1.2", False),
        ("1.34.13", "2.3.7", True),  # newer than what was tested while 1.34 was new
        ("1.36.6", "1.7.33", False),
        ("1.30.1", "1.7.1", True),  # not in the table
    ],
)
def test_containerd_is_of_a_tested_line_or_newer(kubernetes: str, containerd: str, *, fits: bool) -> None:
    assert (containerd_mismatch(kubernetes, containerd) == "") is fits


@pytest.mark.parametrize(
    ("kubernetes", "calico", "fits"),
    [
        ("1.36.3", "3.31.0", False),
        ("1.35.4", "3.31.0", True),
        ("1.36.6", "3.32.1", True),
        ("1.37.2", "3.32.1", False),
        ("1.37.2", "3.34.0", True),  # not in the table
        ("1.34.13", "3.33.0", False),
        ("1.36.6", "3.28.2", False),
    ],
)
def test_calico_is_of_a_tested_line(kubernetes: str, calico: str, *, fits: bool) -> None:
    assert (calico_mismatch(kubernetes, calico) == "") is fits


def test_a_mismatch_names_what_is_tested() -> None:
    assert calico_mismatch("1.36.3", "3.31.0") == (
        "Calico 3.31.0 is not tested with Kubernetes 1.36 (tested: 3.32, 3.33)"
    )
    assert containerd_mismatch("1.35.4", "2.0.9") == (
        "containerd 2.0.9 is not tested with Kubernetes 1.35 "
        "(tested: 2.2.0 or newer of 2.2, 2.1.5 or newer of 2.1, 1.7.28 or newer of 1.7)"
    )
