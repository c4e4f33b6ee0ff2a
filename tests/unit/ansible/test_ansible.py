"""Steps run by a real ansible-playbook over a real sshd on loopback."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import uuid4

import pytest

from provision.ansible import inventory, playbooks, runner
from provision.engine.events import Event, HostFailed, Note, TaskFinished, TaskStarted
from provision.engine.executor import StepResult
from provision.errors import StepFailedError
from provision.model.cluster import Cluster, Host, Role, Ssh
from provision.model.plan import PlaybookStep, Reason
from tests.unit.ssh import sshd

BOUND = 30.0  # seconds; only what is broken takes that long

# Stands for a module of this project: returns its changes as sentences.
NOTED = """
from ansible.module_utils.basic import AnsibleModule
module = AnsibleModule(argument_spec={"text": {"type": "raw"}})
module.exit_json(changed=True, changes=[str(module.params["text"])], proofs=["it works"])
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sshd.Server]:
    with sshd.running(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@dataclass
class Bench:
    """Playbooks of a test and the cluster of loopback hosts they run on."""

    server: sshd.Server
    directory: Path
    memory: Path
    events: list[Event] = field(default_factory=list)

    def cluster(self, *, host_key: str | None = None, port: int = 0, bastion: str | None = None) -> Cluster:
        key = host_key or self.server.host_key
        roles: tuple[tuple[str, Role], ...] = (("cp1", "control-plane"), ("w1", "worker"))
        hosts = tuple(
            Host(name=name, address=sshd.ADDRESS, role=role, port=port or self.server.port, host_key=key)
            for name, role in roles
        )
        ssh = Ssh(user=self.server.user, key=str(self.server.key), bastion=bastion)
        return Cluster(name="loop", kubernetes="1.36.3", hosts=hosts, ssh=ssh)

    def playbook(self, name: str, tasks: str, *, hosts: str = "all") -> None:
        body = textwrap.indent(textwrap.dedent(tasks).strip(), "    ")
        text = f"- name: Test\n  hosts: '{hosts}'\n  gather_facts: false\n  tasks:\n{body}\n"
        (self.directory / f"{name}.yml").write_text(text)

    def step(
        self,
        tasks: str,
        *,
        hosts: tuple[str, ...] = ("cp1",),
        variables: Mapping[str, object] | None = None,
        host_variables: Mapping[str, Mapping[str, object]] | None = None,
        through: str = "",
        pattern: str = "all",
        name: str = "do-it",
    ) -> PlaybookStep:
        self.playbook(name, tasks, hosts=pattern)
        return PlaybookStep(
            name=name,
            summary="Do it",
            playbook=name,
            hosts=hosts,
            reasons=(Reason(hosts[0], "because"),),
            variables=variables or {},
            host_variables=host_variables or {},
            through=through,
        )

    def run(
        self, step: PlaybookStep, cluster: Cluster | None = None, cancel: threading.Event | None = None
    ) -> StepResult:
        with playbooks(cluster or self.cluster()) as backend:
            return backend.run_step(step, self.events.append, cancel or threading.Event())

    @property
    def changes(self) -> dict[str, tuple[str, ...]]:
        return {event.host: event.changes for event in self.events if isinstance(event, TaskFinished)}

    @property
    def failures(self) -> list[HostFailed]:
        return [event for event in self.events if isinstance(event, HostFailed)]

    def leftovers(self) -> list[Path]:
        return list(self.memory.iterdir())


@pytest.fixture
def bench(server: sshd.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    directory = tmp_path / "playbooks"
    (directory / "library").mkdir(parents=True)
    (directory / "library" / "noted.py").write_text(NOTED)
    memory = Path(os.environ.get("XDG_RUNTIME_DIR") or "/dev/shm") / f"provision-{uuid4().hex[:8]}"  # noqa: S108
    memory.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(memory))
    monkeypatch.setattr(runner, "playbook", lambda name: directory / f"{name}.yml")
    yield Bench(server, directory, memory)
    shutil.rmtree(memory)


def programs_naming(text: str) -> list[str]:
    """Command lines and environments of running processes that hold this text."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            try:
                content = (process / name).read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except (OSError, PermissionError):
                continue
            if text in content and int(process.name) != os.getpid():
                found.append(content)
    return found


def wait_for(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + BOUND
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {BOUND} s"
        time.sleep(0.05)


def test_the_changes_of_a_module_become_an_event_of_its_host(bench: Bench) -> None:
    step = bench.step(
        "- name: Note it\n  noted: {text: '{{ thing }}'}", variables={"thing": "turned swap off"}
    )

    result = bench.run(step)

    assert result == StepResult(changed=True)
    started, finished = bench.events
    assert isinstance(started, TaskStarted)
    assert isinstance(finished, TaskFinished)
    assert (started.host, started.task) == ("cp1", "Note it")
    assert (finished.changes, finished.proofs) == (("turned swap off",), ("it works",))


def test_each_retry_of_a_task_reports_what_it_changed_and_waits_for(
    bench: Bench,
) -> None:
    (bench.directory / "library" / "moved.py").write_text(
        "from ansible.module_utils.basic import AnsibleModule\n"
        "module = AnsibleModule(argument_spec={'log': {'type': 'str'}})\n"
        "with open(module.params['log'], 'a+') as log:\n"
        "    log.write('x')\n"
        "    log.seek(0)\n"
        "    number = len(log.read())\n"
        "module.exit_json(changed=number < 3, changes=[f'moved {number}'], msg='' if number == 3 else 'waiting', "
        "done=number == 3)\n"
    )
    log = bench.directory / "log"
    step = bench.step(
        f"- name: Move\n  moved: {{log: {log}}}\n  register: it\n  until: it.done\n  retries: 5\n  delay: 0"
    )

    result = bench.run(step)

    assert result == StepResult(changed=True)
    notes = [event.text for event in bench.events if isinstance(event, Note)]
    assert notes == ["moved 1", "waiting", "moved 2", "waiting"]
    assert bench.changes == {"cp1": ("moved 3",)}


def test_only_the_hosts_of_the_step_are_touched(bench: Bench) -> None:
    pattern = '{{ ansible_limit | default("none") }}:&control_plane'
    both = bench.step("- noted: {text: x}", hosts=("cp1", "w1"))
    narrowed = bench.step("- noted: {text: x}", hosts=("cp1", "w1"), pattern=pattern, name="narrowed")

    bench.run(both)
    everywhere = set(bench.changes)
    bench.events.clear()
    bench.run(narrowed)

    assert everywhere == {"cp1", "w1"}
    assert set(bench.changes) == {"cp1"}


def test_a_variable_of_a_host_beats_the_one_of_its_step(bench: Bench) -> None:
    step = bench.step(
        "- noted: {text: '{{ version }}'}",
        hosts=("cp1", "w1"),
        variables={"version": "new"},
        host_variables={"w1": {"version": "kept"}},
    )

    bench.run(step)

    assert bench.changes == {"cp1": ("new",), "w1": ("kept",)}


def test_variables_that_name_nodes_reach_the_play_as_a_list_and_a_mapping(bench: Bench) -> None:
    step = bench.step("- noted: {text: '{{ drained | join }} {{ labelled.w1.disk }}'}")

    bench.run(replace(step, node_variables={"drained": ("w1", "w2"), "labelled": {"w1": {"disk": "ssd"}}}))

    assert bench.changes == {"cp1": ("w1w2 ssd",)}


def test_text_of_users_is_never_rendered_as_a_template(bench: Bench, tmp_path: Path) -> None:
    trap = tmp_path / "executed"
    text = f"{{{{ lookup('pipe', 'touch {trap}') }}}}"
    step = bench.step(
        "- noted: {text: '{{ a }} {{ b }} {{ c.d[0] }}'}",
        variables={"a": text, "c": {"d": [text]}},
        host_variables={"cp1": {"b": text}},
    )

    bench.run(step)

    assert bench.changes == {"cp1": (f"{text} {text} {text}",)}
    assert not trap.exists()


def test_keys_of_dictionaries_are_never_rendered_as_templates(bench: Bench, tmp_path: Path) -> None:
    trap = tmp_path / "executed"
    text = f"{{{{ lookup('pipe', 'touch {trap}') }}}}"

    bench.run(bench.step("- noted: {text: '{{ labels }}'}", variables={"labels": {text: "x"}}))

    assert not trap.exists()


def test_all_steps_of_a_run_share_one_connection_and_nothing_is_left_of_it(bench: Bench) -> None:
    before = bench.server.logins()
    step, again = bench.step("- noted: {text: x}"), bench.step("- noted: {text: x}", name="again")

    with playbooks(bench.cluster()) as backend:
        for one in (step, again):
            backend.run_step(one, bench.events.append, threading.Event())
        assert programs_naming(str(bench.memory))

    assert bench.server.logins() == before + 1
    assert bench.leftovers() == []
    wait_for(lambda: not programs_naming(str(bench.memory)), "the shared connection ends")


def test_the_users_environment_and_settings_are_ignored(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "ansible.cfg").write_text("[defaults]\nremote_user = nobody-of-that-name\nnocolor = false\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CANARY", "canary-5e1f")
    monkeypatch.setenv("ANSIBLE_REMOTE_USER", "nobody-of-that-name")
    monkeypatch.setenv("ANSIBLE_HOST_KEY_CHECKING", "False")

    bench.run(bench.step("""- noted: {text: "{{ lookup('env', 'CANARY') }}"}"""))

    assert bench.changes == {"cp1": ("",)}


def test_a_host_with_another_key_than_the_pinned_one_is_refused(bench: Bench, tmp_path: Path) -> None:
    other = bench.cluster(host_key=sshd.new_key(tmp_path / "other"))

    result = bench.run(bench.step("- noted: {text: x}"), other)

    (failure,) = bench.failures
    assert result.failed == {"cp1"}
    assert "host key" in failure.cause
    assert bench.changes == {}


def test_a_host_that_cannot_be_reached_fails_with_a_cause_and_a_fix(bench: Bench) -> None:
    result = bench.run(bench.step("- noted: {text: x}"), bench.cluster(port=1))

    (failure,) = bench.failures
    assert result.failed == {"cp1"}
    assert "connection refused" in f"{failure.message} {' '.join(failure.lines)}".lower()
    assert failure.cause
    assert failure.fix


@pytest.mark.parametrize("secret", ["false", "true"])
@pytest.mark.parametrize("loop", ["", "loop: [1]"])
def test_the_delegated_host_of_a_lost_connection_is_named(bench: Bench, secret: str, loop: str) -> None:
    cluster = bench.cluster()
    lost = cluster.hosts[0].model_copy(update={"port": 1})
    cluster = cluster.model_copy(update={"hosts": (lost, cluster.hosts[1])})
    tasks = f"""
        - block:
            - name: Mint
              noted: {{text: x}}
              delegate_to: "{{{{ join_control_plane }}}}"
              no_log: {secret}
              {loop}
    """
    step = bench.step(tasks, hosts=("w1",), variables={"join_control_plane": "cp1"}, through="cp1")

    bench.run(step, cluster)

    (failure,) = bench.failures
    assert failure.host == "w1"
    assert failure.message.startswith("lost the connection to cp1: ")
    assert "secret" not in failure.message
    assert failure.fix


def test_a_lost_connection_to_the_host_itself_does_not_name_the_control_plane_of_its_step(
    bench: Bench,
) -> None:
    bench.run(bench.step("- noted: {text: x}", hosts=("w1",), through="cp1"), bench.cluster(port=1))

    (failure,) = bench.failures
    assert failure.message.startswith("lost the connection: ")


def test_connections_go_through_a_bastion(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    known = tmp_path / "known_hosts"
    known.write_text(f"[{sshd.ADDRESS}]:{bench.server.port} {bench.server.host_key}\n")
    monkeypatch.setattr(inventory, "_JUMP", (*inventory._JUMP, "-o", f"UserKnownHostsFile={known}"))
    bastion = f"{bench.server.user}@{sshd.ADDRESS}:{bench.server.port}"
    before = bench.server.logins()

    bench.run(bench.step("- noted: {text: x}"), bench.cluster(bastion=bastion))

    assert bench.changes == {"cp1": ("x",)}
    assert bench.server.logins() == before + 2


@pytest.mark.parametrize(
    ("bastion", "place"),
    [
        ("b.example", ("b.example", "")),
        ("me@b.example:2222", ("me@b.example", "2222")),
        ("me@[2001:db8::1]:22", ("me@2001:db8::1", "22")),
        ("2001:db8::1", ("2001:db8::1", "")),
    ],
)
def test_a_bastion_becomes_a_destination_and_a_port_of_ssh(bastion: str, place: tuple[str, str]) -> None:
    host = {"name": "cp1", "address": "10.0.0.11", "role": "control-plane"}
    file = {"name": "demo", "kubernetes": "1.36.3", "hosts": (host,), "ssh": {"bastion": bastion}}
    cluster = Cluster.model_validate(file)
    arguments = shlex.split(inventory._ssh_arguments(cluster, cluster.hosts[0], Path("known_hosts")))
    (proxy,) = (word.partition("=")[2] for word in arguments if word.startswith("ProxyCommand="))
    command = shlex.split(proxy)
    port = command[command.index("-p") + 1] if "-p" in command else ""
    assert command[-2] == "--"
    assert (command[-1], port) == place


def test_a_failed_command_is_reported_with_its_arguments_and_last_lines(bench: Bench) -> None:
    task = "- name: Try it\n  ansible.builtin.command: {argv: [sh, -c, 'echo one; echo two; exit 3']}"

    result = bench.run(bench.step(task, hosts=("cp1", "w1")))

    assert result.failed == {"cp1", "w1"}
    failure = bench.failures[0]
    assert failure.task == "Try it"
    assert failure.command == "sh -c echo one; echo two; exit 3"
    assert failure.lines[-2:] == ("one", "two")


def test_one_failed_host_does_not_stop_the_others(bench: Bench) -> None:
    tasks = """
    - ansible.builtin.command: {argv: [test, "{{ inventory_hostname }}", "=", w1]}
    - noted: {text: further}
    """

    result = bench.run(bench.step(tasks, hosts=("cp1", "w1")))

    assert result.failed == {"cp1"}
    assert bench.changes["w1"] == ("further",)


def test_hosts_that_a_stopped_play_did_not_reach_count_as_failed(bench: Bench) -> None:
    step = bench.step("- ansible.builtin.command: {argv: ['false']}", hosts=("cp1", "w1"))
    play = bench.directory / "do-it.yml"
    play.write_text(play.read_text().replace("  gather_facts", "  serial: 1\n  gather_facts"))

    result = bench.run(step)

    assert result.failed == {"cp1", "w1"}
    assert [failure.host for failure in bench.failures] == ["cp1"]


def test_output_of_a_secret_task_stays_hidden(bench: Bench) -> None:
    task = "- ansible.builtin.command: {argv: [sh, -c, 'echo canary-77aa; exit 1']}\n  no_log: true"

    bench.run(bench.step(task))

    (failure,) = bench.failures
    assert "canary-77aa" not in repr(bench.events)
    assert "hidden" in failure.message


def test_a_playbook_that_ansible_cannot_read_is_an_error_with_its_output(bench: Bench) -> None:
    step = bench.step("- no_such_module_at_all: {}")

    with pytest.raises(StepFailedError) as caught:
        bench.run(step)

    assert "no_such_module_at_all" in "\n".join(caught.value.detail)
    assert bench.leftovers() == []


def test_cancelling_ends_the_playbook_soon_and_leaves_nothing(bench: Bench) -> None:
    step = bench.step("- ansible.builtin.command: {argv: [sleep, '60']}")
    cancel = threading.Event()

    def stop_at_first_task(event: Event) -> None:
        if isinstance(event, TaskStarted):
            cancel.set()

    with playbooks(bench.cluster()) as backend:
        began = time.monotonic()
        result = backend.run_step(step, stop_at_first_task, cancel)

    assert result.failed == {"cp1"}
    assert time.monotonic() - began < BOUND
    assert bench.leftovers() == []
    wait_for(lambda: not programs_naming(str(bench.memory)), "everything of the run ends")


def test_the_sudo_password_is_on_no_command_line_and_in_no_environment(bench: Bench) -> None:
    step = bench.step("- noted: {text: x}\n  become: true\n  become_user: nobody")
    seen: list[str] = []

    def look(event: Event) -> None:
        if isinstance(event, TaskStarted):
            assert programs_naming("ansible-playbook")
            seen.extend(programs_naming("canary-sudo-41c9"))

    with playbooks(bench.cluster(), sudo_password="canary-sudo-41c9") as backend:  # noqa: S106
        backend.run_step(step, look, threading.Event())

    assert seen == []
    assert bench.leftovers() == []


RUN_AND_BE_KILLED = """
import json, sys, threading
from pathlib import Path
from provision.ansible import playbooks, runner
from provision.model.cluster import Cluster
from provision.model.plan import PlaybookStep, Reason
runner.playbook = lambda name: Path(sys.argv[1]) / f"{name}.yml"
cluster = Cluster.model_validate_json(sys.argv[2], strict=False)
step = PlaybookStep(name="do-it", summary="", playbook="do-it", hosts=("cp1",), reasons=(Reason("cp1", ""),))
with playbooks(cluster) as backend:
    backend.run_step(step, lambda event: print(type(event).__name__, flush=True), threading.Event())
"""


def test_what_a_killed_run_left_is_ended_and_removed_by_the_next(bench: Bench) -> None:
    bench.playbook("do-it", "- ansible.builtin.command: {argv: [sleep, '60']}")
    argv = [sys.executable, "-c", RUN_AND_BE_KILLED, str(bench.directory), bench.cluster().model_dump_json()]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == "TaskStarted\n"
        killed.send_signal(signal.SIGKILL)
        killed.wait(BOUND)
    assert bench.leftovers()

    with playbooks(bench.cluster()):
        assert len(bench.leftovers()) == 1  # its own
        wait_for(lambda: not programs_naming(str(bench.directory)), "the orphaned playbook ends")

    assert bench.leftovers() == []
    wait_for(lambda: not programs_naming(str(bench.memory)), "the orphaned connection ends")
