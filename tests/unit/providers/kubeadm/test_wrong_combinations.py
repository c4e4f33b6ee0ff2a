"""Combinations of versions, runtimes and hosts that do not work: each is refused, and the way out is named."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from provision.config import kubeadm_only, load_text
from provision.errors import FileError
from provision.providers.kubeadm.checks import check
from provision.providers.kubeadm.facts.host import combine

from . import factories

if TYPE_CHECKING:
    from provision.model.plan import Finding

FILE = """\
name: demo
kubernetes: "{kubernetes}"
runtime: {runtime}
network: {{pod_cidr: 10.244.0.0/16}}
hosts:
  - {{name: cp1, address: 10.0.0.11, role: control-plane}}
  - {{name: w1, address: 10.0.0.21, role: worker}}
"""


class Wrong(NamedTuple):
    """A file with `add` at its end, whose worker `host` changes; `check` and a part of its way out."""

    check: str
    fix: str
    kubernetes: str = "1.36.6"
    runtime: str = "containerd"
    add: str = ""
    host: dict[str, Any] = {}  # noqa: RUF012 - a table of constants


CGROUP_1 = {"kernel": {"cgroup": 1}}
COMBINATIONS = {
    "CRI-O of another minor": Wrong(
        "runtime-version", '"1.37.0"', "1.37.2", "crio", 'runtime_version: "1.35.0"'
    ),
    "Docker on 1.38": Wrong("docker-support", "containerd or crio", "1.38.0", "docker"),
    "Docker of the distribution": Wrong(
        "containerd-package",
        "purge docker.io containerd",
        runtime="docker",
        host={
            "software": {
                "packages": {
                    name: {"version": "26.1.5", "held": False, "whole": True}
                    for name in ("docker.io", "containerd")
                }
            }
        },
    ),
    "an engine that cri-dockerd cannot talk to": Wrong(
        "runtime-version", "29", runtime="docker", add='runtime_version: "20.10.24"'
    ),
    "a cri-dockerd without RuntimeConfig": Wrong(
        "mirror-digest",
        "0.3.17",
        runtime="docker",
        add=f"mirror: {{digests: {{cri-dockerd-0.3.9.amd64.tgz: {'a' * 64}}}}}",
    ),
    "containerd before 2.0": Wrong("runtime-version", '"2.3.7"', "1.34.13", add='runtime_version: "1.7.28"'),
    "a containerd that was never tested with the minor": Wrong(
        "runtime-version", '"2.3.7"', "1.37.2", add='runtime_version: "2.2.3"'
    ),
    "a registry below a path with CRI-O": Wrong(
        "mirror-path",
        "runtime: containerd",
        runtime="crio",
        add="mirror: {images: 'https://registry.lan/k8s'}",
    ),
    "a Calico whose manifest is not known": Wrong(
        "network-version", '"3.32.1"', add="network: {pod_cidr: 10.244.0.0/16, version: '3.25.0'}"
    ),
    "a minor whose support has ended": Wrong("kubernetes-support", '"1.36.6"', "1.33.13"),
    "a minor that was never known": Wrong("kubernetes-version", '"1.36.6"', "1.30.2"),
    "a patch that breaks upgrades": Wrong("kubernetes-broken", '"1.35.10"', "1.35.0"),
    "a minor alone": Wrong("kubernetes-version", '"1.36.6"', "1.36"),
    "cgroup v1": Wrong("cgroup-v1", "unified_cgroup_hierarchy", host=CGROUP_1),
    "el8": Wrong(
        "system",
        "Debian",
        host={"machine": {"os": {"id": "rocky", "version": "8.10", "name": "Rocky Linux 8.10"}}},
    ),
    "a system that is not known": Wrong(
        "system",
        "Debian",
        host={"machine": {"os": {"id": "alpine", "version": "3.22", "name": "Alpine Linux"}}},
    ),
}


@pytest.mark.parametrize("wrong", COMBINATIONS.values(), ids=COMBINATIONS)
def test_a_wrong_combination_is_refused_with_the_way_out(wrong: Wrong) -> None:
    found = [finding for finding in errors(wrong) if finding.check == wrong.check]

    assert len(found) == 1, [f"{one.check}: {one.message}" for one in errors(wrong)]
    assert wrong.fix in found[0].fix


@pytest.mark.parametrize("runtime", ["containerd", "crio", "docker"])
def test_the_same_file_with_the_defaults_is_not_refused(runtime: str) -> None:
    assert errors(Wrong("", "", runtime=runtime)) == []


def errors(wrong: Wrong) -> list[Finding]:
    """The errors of `provision check`: those of the file, or if it has none those of its hosts."""
    text = FILE.format(kubernetes=wrong.kubernetes, runtime=wrong.runtime)
    if wrong.add.startswith("network:"):
        text = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("network:"))
    try:
        cluster = kubeadm_only(load_text(text + wrong.add, Path("cluster.yaml")), "a test").cluster
    except FileError as error:
        return [finding for finding in error.findings if finding.severity == "error"]
    documents = {host.name: factories.fresh(host) for host in cluster.hosts}
    documents["w1"] = factories.merged(documents["w1"], wrong.host)
    hosts = {name: factories.facts(name, document) for name, document in documents.items()}
    found = check(cluster, combine(hosts, at=factories.NOW))
    return [finding for finding in found if finding.severity == "error"]
