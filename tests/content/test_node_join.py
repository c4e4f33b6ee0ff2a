"""The role node_join, run by Ansible with fake modules that only log their calls.

Tests the order of the tasks and the clean-up; the modules have their own tests, and lab tests cover the whole.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROLE = Path(__file__).parents[2] / "playbooks/roles/node_join"
MODULE = """
from ansible.module_utils.basic import AnsibleModule
module = AnsibleModule(argument_spec={{name: {{"type": "raw"}} for name in {names}}})
with open({log!r}, "a") as log:
    log.write({line!r}.format(**module.params) + "\\n")
if {failing!r} in str(module.params.get("config")):
    module.fail_json(msg="no")
module.exit_json(changed=False, problem={problem!r}, token="t", ca_hash="h", certificate_key="k", address="10.0.0.11")
"""
PLAY = """
- hosts: workers
  gather_facts: false
  serial: {serial}
  roles: [{{role: node_join, node_join_as_control_plane: {control_planes}}}]
"""


class RoleRun:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.log = directory / "log"
        shutil.copytree(ROLE, directory / "roles/node_join")
        (directory / "library").mkdir()
        self.problem = ""
        self.credentials_log, self.join_log = "{state}", "join {config[name]}"
        self.at_once = 50

    def module(self, name: str, parameters: list[str], line: str) -> None:
        text = MODULE.format(
            names=parameters, log=str(self.log), line=line, failing="'fails': True", problem=self.problem
        )
        (self.directory / f"library/{name}.py").write_text(text, encoding="utf-8")

    def run(self, *, control_planes: bool = False, **workers: str) -> tuple[int, list[str]]:
        """Join these hosts, each `good`, `failing` or `lost`; return Ansible's status and the logged calls."""
        play = PLAY.format(serial=1 if control_planes else "100%", control_planes=str(control_planes).lower())
        (self.directory / "play.yml").write_text(play, encoding="utf-8")
        self.module(
            "join_credentials",
            ["state", "purpose", "control_plane", "seconds", "smoke_test_pending"],
            self.credentials_log,
        )
        self.module("etcd_member", ["gone", "joins"], "etcd {gone[0][name]} {gone[0][address]}")
        self.module(
            "kubeadm_join",
            [
                "config",
                "endpoint",
                "token",
                "ca_hash",
                "certificate_key",
                "control_plane",
                "etcd",
                "spread",
                "login_user",
            ],
            self.join_log,
        )
        local = f"ansible_connection=local ansible_python_interpreter={sys.executable}"
        lost = "ansible_connection=ssh ansible_host=127.0.0.1 ansible_port=1"
        lines = [
            f"{name} {lost if state == 'lost' else local} node_join_at_once={self.at_once} "
            f"node_join_config=\"{{'name': '{name}', 'fails': {state == 'failing'}}}\""
            for name, state in workers.items()
        ]
        inventory = self.directory / "hosts.ini"
        text = "\n".join(["[workers]", *lines, "[control_plane]", f"cp1 {local}", ""])
        inventory.write_text(text, encoding="utf-8")
        done = subprocess.run(
            [Path(sys.executable).with_name("ansible-playbook"), "--inventory", inventory, "play.yml"],
            cwd=self.directory,
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.directory), "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            check=False,
        )
        self.output = done.stdout
        return done.returncode, self.log.read_text(encoding="utf-8").splitlines()


@pytest.fixture
def role(tmp_path: Path) -> RoleRun:
    return RoleRun(tmp_path)


def test_all_workers_join_with_one_set_of_credentials(role: RoleRun) -> None:
    status, calls = role.run(w1="good", w2="good")

    assert status == 0
    assert calls[0] == "None"  # created: present is the default state of the module
    assert sorted(calls[1:3]) == ["join w1", "join w2"]
    assert calls[3:] == ["absent"]


@pytest.mark.parametrize(
    ("first", "second"), [("failing", "good"), ("good", "failing"), ("failing", "failing"), ("lost", "good")]
)
def test_credentials_are_revoked_even_if_a_worker_fails(role: RoleRun, first: str, second: str) -> None:
    status, calls = role.run(w1=first, w2=second)

    assert status != 0
    assert calls[-1] == "absent"
    assert calls.count("absent") == 1


def test_control_planes_join_one_at_a_time_each_with_its_own_credentials(role: RoleRun) -> None:
    status, calls = role.run(control_planes=True, cp2="good", cp3="good")

    assert status == 0
    one = ["None", "join {}", "absent"]
    assert calls == [
        "etcd cp2 ",
        *(word.format("cp2") for word in one),
        "etcd cp3 ",
        *(w.format("cp3") for w in one),
    ]


def test_a_failed_control_plane_stops_the_following_ones(role: RoleRun) -> None:
    status, calls = role.run(control_planes=True, cp2="failing", cp3="good")

    assert status != 0
    assert calls == ["etcd cp2 ", "None", "join cp2", "absent"]


def test_without_credentials_no_host_joins_and_the_reason_is_reported(role: RoleRun) -> None:
    role.problem = "this host is no control plane"

    status, calls = role.run(w1="good")

    assert status != 0
    assert calls == ["None", "absent"]
    assert "cp1: this host is no control plane" in role.output


def test_workers_join_in_batches_with_a_token_that_is_valid_for_all_of_them(role: RoleRun) -> None:
    role.credentials_log, role.join_log = "{state} {seconds}", "join {config[name]} after at most {spread}"
    role.at_once = 2

    status, calls = role.run(w1="good", w2="good", w3="good")

    assert status == 0
    assert calls[0] == "None 1800"  # two batches of at most 2
    assert sorted(calls[1:-1]) == [f"join w{number} after at most 0.4" for number in (1, 2, 3)]
