"""State of a host after host_prepare, docker and kube_packages, read over plain ssh."""

from __future__ import annotations

import json
import os
from pathlib import Path

import yaml
from host_state import ask, states
from pods import PAUSE, run_sandbox

EPHEMERAL = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
LAB = yaml.safe_load((EPHEMERAL / "cluster.yaml").read_text(encoding="utf-8"))
UNITS = ("docker", "cri-docker")


def test_the_second_converge_changes_nothing() -> None:
    # First, because later tests change what runs.
    assert states(("cp1",)) == json.loads((EPHEMERAL / "host-state.json").read_text(encoding="utf-8"))


def test_docker_runs_with_the_configuration_of_the_role() -> None:
    info = json.loads(ask("cp1", "docker info --format '{{json .}}'"))

    assert (info["CgroupDriver"], info["LoggingDriver"], info["Driver"]) == (
        "systemd",
        "json-file",
        "overlay2",
    )
    assert info["ServerVersion"].startswith(LAB["runtime_version"])
    for unit in UNITS:
        assert ask("cp1", f"systemctl is-active {unit}; systemctl is-enabled {unit}").split() == [
            "active",
            "enabled",
        ]


def test_docker_is_the_version_of_the_cluster_file_and_held() -> None:
    form = "${Package} ${db:Status-Abbrev} ${Version}\\n"
    lines = ask("cp1", f"dpkg-query -W -f '{form}' docker-ce docker-ce-cli containerd.io").splitlines()
    found = {name: (status, version) for name, status, version in map(str.split, lines)}

    assert {status for status, _ in found.values()} == {"hi"}
    assert found["docker-ce"] == found["docker-ce-cli"]
    assert found["docker-ce"][1].startswith(f"5:{LAB['runtime_version']}-")


def test_an_image_of_the_mirror_runs_as_a_sandbox_of_the_cri() -> None:
    mirror = LAB["mirror"]["images"].partition("://")[2]
    ask("cp1", f"docker pull --quiet {mirror}/{PAUSE} && docker tag {mirror}/{PAUSE} {PAUSE}")

    assert PAUSE in ask("cp1", f"crictl inspecti --output json {PAUSE}")
    assert run_sandbox("cp1") == "SANDBOX_READY"


def test_logs_of_containers_are_bounded() -> None:
    daemon = json.loads(ask("cp1", "cat /etc/docker/daemon.json"))

    assert daemon["log-opts"] == {"max-size": "100m"}
