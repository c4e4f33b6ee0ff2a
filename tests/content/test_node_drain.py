"""The role node_drain, run by Ansible with a fake module that only logs its calls."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROLE = Path(__file__).parents[2] / "playbooks/roles/node_drain"
MODULE = """
from ansible.module_utils.basic import AnsibleModule
module = AnsibleModule(argument_spec={{name: {{"type": "raw"}} for name in ("nodes", "state", "seconds", "force")}})
with open({log!r}, "a+") as log:
    log.write(str(module.params["state"]) + "\\n")
    log.seek(0)
    drained = log.read().count("None") >= {attempts}
if module.params["state"] is None and {broken!r}:
    module.fail_json(msg="no API server")
module.exit_json(changed=True, drained=drained, msg="" if drained else "w1: default/db is held")
"""


def drain(directory: Path, *, attempts: int, broken: bool = False) -> tuple[int, list[str], str]:
    """Drain nodes that need so many attempts; return Ansible's status, the states of the calls, and the output."""
    shutil.copytree(ROLE, directory / "roles/node_drain")
    (directory / "library").mkdir()
    log = directory / "log"
    text = MODULE.format(log=str(log), attempts=attempts, broken=broken)
    (directory / "library/node_drain.py").write_text(text, encoding="utf-8")
    play = "- hosts: all\n  gather_facts: false\n  roles: [node_drain]\n"
    (directory / "play.yml").write_text(play, encoding="utf-8")
    line = f"cp1 ansible_connection=local ansible_python_interpreter={sys.executable} node_drain_timeout=30"
    (directory / "hosts.ini").write_text(f"{line} node_drain_nodes=\"['w1']\"\n", encoding="utf-8")
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), "--inventory", "hosts.ini", "play.yml"],
        cwd=directory,
        env={"PATH": "/usr/bin:/bin", "HOME": str(directory), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, log.read_text(encoding="utf-8").split(), done.stdout


def test_the_drain_is_repeated_until_the_nodes_are_drained(tmp_path: Path) -> None:
    status, states, _ = drain(tmp_path, attempts=3)

    assert (status, states) == (0, ["None", "None", "None"])


@pytest.mark.parametrize("broken", [False, True])
def test_nodes_that_cannot_be_drained_are_uncordoned_and_the_reason_is_reported(
    tmp_path: Path, *, broken: bool
) -> None:
    status, states, output = drain(tmp_path, attempts=100, broken=broken)

    assert status != 0
    assert set(states[:-1]) == {"None"}
    assert len(states) in (4, 5)  # three attempts, Ansible may count the first one separately
    assert states[-1] == "uncordoned"
    assert ("no API server" if broken else "w1: default/db is held") in output
