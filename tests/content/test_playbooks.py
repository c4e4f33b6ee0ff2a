"""Every step has its playbook, and each is usable with plain ansible-playbook and an example inventory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from provision.providers.kubeadm.steps.catalogue import CATALOGUE, PlaybookStepType

ROOT = Path(__file__).parents[2]
PLAYBOOKS = ROOT / "playbooks"
STEPS = {
    "prepare-hosts": "host_prepare",
    "install-containerd": "containerd",
    "install-crio": "crio",
    "install-docker": "docker",
    "install-kubernetes": "kube_packages",
    "pull-images": "images",
    "install-endpoint": "api_balancer",
    "init-control-plane": "control_plane",
    "install-network": "calico",
    "join-control-planes": "node_join",
    "join-workers": "node_join",
    "label-nodes": "node_labels",
    "wait-ready": "cluster_ready",
    "smoke-test": "smoke_test",
}
# Steps that are not part of a new cluster: for removed nodes and other later changes.
LATER = {
    "open-firewall": "host_firewall",
    "remove-etcd-members": "etcd_member",
    "drain-nodes": "node_drain",
    "change-runtimes": "runtime_change",
    "delete-nodes": "node_delete",
    "reset-hosts": "host_reset",
    "update-endpoint": "api_endpoint",
    "remove-endpoint": "api_balancer",
}
ON_ONE_CONTROL_PLANE = [
    "init-control-plane",
    "install-network",
    "label-nodes",
    "wait-ready",
    "smoke-test",
    "drain-nodes",
    "delete-nodes",
    "remove-etcd-members",
]


def play(step: str) -> dict[str, Any]:
    (only,) = yaml.safe_load((PLAYBOOKS / f"{step}.yml").read_text(encoding="utf-8"))
    assert isinstance(only, dict)
    return only


def ansible_playbook(tmp_path: Path, *arguments: str) -> str:
    """Run ansible-playbook in an empty directory, without any ansible.cfg."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), *arguments],
        cwd=tmp_path,
        env={**clean, "ANSIBLE_HOME": str(tmp_path / "home"), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def hosts(tmp_path: Path, step: str, *arguments: str) -> set[str]:
    inventory = str(ROOT / "inventories/ha/hosts.yml")
    out = ansible_playbook(
        tmp_path, "--inventory", inventory, "--list-hosts", str(PLAYBOOKS / f"{step}.yml"), *arguments
    )
    _, _, listed = out.partition("hosts (")
    return set(listed.split()[1:])


@pytest.mark.parametrize(("step", "role"), {**STEPS, **LATER}.items())
def test_a_play_is_thin_and_gathers_no_facts(step: str, role: str) -> None:
    found = play(step)

    assert [entry["role"] for entry in found["roles"]] == [role]
    assert found["gather_facts"] is False
    assert found["become"] is True
    assert not {"tasks", "pre_tasks", "post_tasks", "vars"} & found.keys()


def test_every_step_of_the_catalogue_has_its_playbook_and_there_are_no_others() -> None:
    types = [one for one in CATALOGUE.types if isinstance(one, PlaybookStepType)]

    assert len(types) == len(CATALOGUE.types)
    assert {path.stem for path in PLAYBOOKS.glob("*.yml")} == {
        "site",
        *(one.playbook or one.name for one in types),
    }
    assert {one.playbook or one.name for one in types} == {*STEPS, *LATER}


def test_site_imports_what_makes_a_cluster_in_the_order_of_the_catalogue() -> None:
    plays = yaml.safe_load((PLAYBOOKS / "site.yml").read_text(encoding="utf-8"))

    assert [entry["ansible.builtin.import_playbook"] for entry in plays] == [
        f"{one.name}.yml" for one in CATALOGUE.types if isinstance(one, PlaybookStepType) and one.creates
    ]


def test_the_page_on_architecture_lists_the_steps_of_the_catalogue() -> None:
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    rows = []
    for position, one in enumerate(CATALOGUE.types):
        needs_all = position > 3 and one.needs == CATALOGUE.names[:position]
        needs = "all of the above" if needs_all else ", ".join(one.needs) or "-"
        rows.append(f"| `{one.name}` | {one.summary} | {needs} |")

    assert (
        page.partition("| step | does | needs |\n|---|---|---|\n")[2].partition("\n\n")[0].splitlines()
        == rows
    )


@pytest.mark.parametrize("inventory", ["example", "ha"])
def test_every_playbook_passes_a_syntax_check_without_configuration(tmp_path: Path, inventory: str) -> None:
    ansible_playbook(
        tmp_path,
        "--inventory",
        str(ROOT / f"inventories/{inventory}/hosts.yml"),
        "--syntax-check",
        str(PLAYBOOKS / "site.yml"),
    )


@pytest.mark.parametrize("step", ON_ONE_CONTROL_PLANE)
def test_a_step_of_the_whole_cluster_runs_on_one_control_plane(tmp_path: Path, step: str) -> None:
    assert hosts(tmp_path, step) == {"cp1"}


def test_a_limit_selects_the_control_plane(tmp_path: Path) -> None:
    assert hosts(tmp_path, "install-network", "--limit", "cp2") == {"cp2"}


def test_a_limit_to_a_worker_selects_no_control_plane(tmp_path: Path) -> None:
    assert hosts(tmp_path, "install-network", "--limit", "w1") == set()


def test_further_control_planes_join_one_at_a_time(tmp_path: Path) -> None:
    assert play("join-control-planes")["serial"] == 1
    assert hosts(tmp_path, "join-control-planes") == {"cp2", "cp3"}
    assert hosts(tmp_path, "join-control-planes", "--limit", "cp3") == {"cp3"}
