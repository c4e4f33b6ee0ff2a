"""`provision apply` stopped in the middle of a step: the real command and a real playbook over a real sshd.

Only what comes before the run (the file, observation, planning) is replaced: this machine must not become a node.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from provision.model.cluster import Cluster, Host, Ssh
from tests.unit.ssh import sshd

BOUND = 30.0
TASKS = """
- name: Take long
  hosts: all
  gather_facts: false
  tasks:
    - name: Sleep
      ansible.builtin.command: {argv: [sleep, '60']}
"""
APPLY = """
import sys
from pathlib import Path
from types import SimpleNamespace
from provision import providers
from provision.ansible import runner
from provision.cli import run
from provision.model.cluster import Cluster
from provision.model.plan import PlaybookStep, Reason
from provision.providers.kubeadm.operations import apply
from provision.providers.kubeadm.operations.observed import Observed

directory, cluster = Path(sys.argv[1]), Cluster.model_validate_json(sys.argv[2], strict=False)
observed = Observed(observation=SimpleNamespace(cluster=None, hosts={}, source=""))
step = dict(summary="Take long", playbook="long", hosts=("cp1",), reasons=(Reason("cp1", "because"),))
plan = (PlaybookStep(name="long", **step), PlaybookStep(name="later", needs=("long",), **step))
loaded = SimpleNamespace(cluster=cluster, warnings=(), path=Path("cluster.yaml"))
providers.load_provider = lambda file: SimpleNamespace(apply=lambda **_: apply.ApplyOperation(loaded=loaded))
apply.observe_all = lambda *_, **__: observed
apply.check = lambda *_: ()
apply.apply_plan = lambda *_, **__: plan
runner.playbook = lambda name: directory / f"{name}.yml"
sys.exit(run(["apply", "--yes", "--verbose"]))
"""


@dataclass(frozen=True, slots=True)
class Applying:
    process: subprocess.Popen[str]
    memory: Path
    state: Path

    def wait_for_task(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if "Sleep ..." in line:
                return
        pytest.fail("the task did not begin")

    def end(self) -> tuple[int, str]:
        """Exit code and what was still said."""
        _, said = self.process.communicate(timeout=BOUND)
        return self.process.returncode, said

    def journal(self) -> list[dict[str, object]]:
        (path,) = self.state.glob("runs/loop/*/journal.jsonl")
        return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def applying(tmp_path: Path) -> Iterator[Applying]:
    memory = Path("/dev/shm") / f"provision-{uuid4().hex[:8]}"  # noqa: S108  made 0700, removed below
    memory.mkdir(mode=0o700)
    (tmp_path / "sshd").mkdir()
    with sshd.running(tmp_path / "sshd") as server:
        host = Host(
            name="cp1", address=sshd.ADDRESS, role="control-plane", port=server.port, host_key=server.host_key
        )
        ssh = Ssh(user=server.user, key=str(server.key))
        cluster = Cluster(name="loop", kubernetes="1.36.3", hosts=(host,), ssh=ssh)
        (tmp_path / "long.yml").write_text(TASKS)
        process = subprocess.Popen(
            [sys.executable, "-c", APPLY, str(tmp_path), cluster.model_dump_json()],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "XDG_RUNTIME_DIR": str(memory), "PROVISION_STATE": str(tmp_path / "state")},
        )
        try:
            yield Applying(process, memory, tmp_path / "state")
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()
            shutil.rmtree(memory)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_soon_says_how_to_go_on_and_leaves_nothing(
    applying: Applying, number: signal.Signals
) -> None:
    applying.wait_for_task()

    applying.process.send_signal(number)
    began = time.monotonic()
    code, said = applying.end()

    assert code == 130
    assert time.monotonic() - began < BOUND
    assert "stopping: no further step starts" in said
    assert "long  stopped" in said
    assert "later  not run: the run was interrupted" in said
    assert "go on with `provision apply -f cluster.yaml`" in said
    assert list(applying.memory.iterdir()) == []


def test_the_journal_of_an_interrupted_run_says_so(applying: Applying) -> None:
    applying.wait_for_task()

    applying.process.send_signal(signal.SIGINT)
    applying.end()

    last = applying.journal()[-1]
    assert (last["event"], last["ok"], last["interrupted"]) == ("run-finished", False, True)


def test_a_second_signal_leaves_at_once_and_still_leaves_nothing(applying: Applying) -> None:
    applying.wait_for_task()

    applying.process.send_signal(signal.SIGINT)
    applying.process.send_signal(signal.SIGTERM)  # another number: two of the same could become one
    code, _ = applying.end()

    assert code == 130
    assert list(applying.memory.iterdir()) == []
