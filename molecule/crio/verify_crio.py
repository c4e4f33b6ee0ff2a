"""State of a host after host_prepare, crio and kube_packages, read over plain ssh."""

from __future__ import annotations

import json
import os
from pathlib import Path

import yaml
from host_state import ask, states
from pods import PAUSE, run_sandbox

EPHEMERAL = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
LAB = yaml.safe_load((EPHEMERAL / "cluster.yaml").read_text(encoding="utf-8"))


def test_the_second_converge_changes_nothing() -> None:
    # First, because later tests change what runs.
    assert states(("cp1",)) == json.loads((EPHEMERAL / "host-state.json").read_text(encoding="utf-8"))


def test_crio_runs_with_the_configuration_of_the_role() -> None:
    config = ask("cp1", "crio status config")

    assert ask("cp1", "systemctl is-active crio; systemctl is-enabled crio").split() == ["active", "enabled"]
    assert 'cgroup_manager = "systemd"' in config
    assert f'pause_image = "{PAUSE}"' in config


def test_crio_is_the_version_of_the_cluster_file_and_held() -> None:
    status, version = ask("cp1", "dpkg-query -W -f '${db:Status-Abbrev} ${Version}' cri-o").split()

    assert status == "hi"
    assert version.startswith(f"{LAB['runtime_version']}-")


def test_no_network_of_the_package_is_active() -> None:
    assert ask("cp1", "find /etc/cni/net.d -name '*.conf' -o -name '*.conflist'") == ""


def test_an_image_is_pulled_through_the_mirror_and_a_sandbox_runs() -> None:
    ask("cp1", f"crictl pull {PAUSE}")

    assert run_sandbox("cp1") == "SANDBOX_READY"
