"""Against a real sshd on loopback, with host keys and a login key of its own."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from provision import ssh
from provision.engine.events import Event, Observed
from provision.errors import UnreachableError
from provision.model.cluster import Cluster, Host
from provision.model.plan import Finding
from provision.providers.kubeadm.facts.gather import observe
from provision.ssh.connections import Connections

from . import sshd

PASSPHRASE = "correct horse"  # noqa: S105 - of a key that lives for this test


@dataclass(frozen=True)
class Server:
    """A running sshd; `keys` maps a type to its public host key as a cluster file pins it."""

    port: int
    keys: dict[str, str]
    login: Path
    locked: Path  # the same kind of key, with a passphrase


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from serve(tmp_path_factory.mktemp("sshd"), "")


@pytest.fixture(scope="module")
def chatty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose login shell prints a greeting before it runs the command."""
    command = 'ForceCommand echo "Welcome to production"; eval "$SSH_ORIGINAL_COMMAND"\n'
    yield from serve(tmp_path_factory.mktemp("chatty"), command)


def serve(home: Path, more: str) -> Iterator[Server]:
    keys = {}
    for kind in ("ed25519", "ecdsa"):
        make_key(home / kind, kind)
        keys[kind] = " ".join((home / f"{kind}.pub").read_text().split()[:2])
    make_key(home / "login", "ed25519")
    make_key(home / "locked", "ed25519", PASSPHRASE)
    (home / "authorized").write_text((home / "login.pub").read_text() + (home / "locked.pub").read_text())
    port = free_port()
    configuration = home / "sshd_config"
    configuration.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {home}/ed25519\nHostKey {home}/ecdsa\n"
        f"AuthorizedKeysFile {home}/authorized\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
        f"PidFile none\nPermitRootLogin yes\nMaxStartups 100\n{more}"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd does not start without it
    process = subprocess.Popen(
        [sshd.program(), "-D", "-e", "-f", str(configuration)], stderr=subprocess.DEVNULL
    )
    try:
        wait_for(port)
        yield Server(port, keys, home / "login", home / "locked")
    finally:
        process.terminate()
        process.wait()


def make_key(path: Path, kind: str, passphrase: str = "") -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "", "-f", str(path)], check=True)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < deadline, "sshd did not start"
        else:
            return


def host(server: Server, *, name: str = "h1", port: int = 0, pin: str | None = "ed25519") -> Host:
    return Host(
        name=name,
        address="127.0.0.1",
        role="control-plane",
        port=port or server.port,
        user=getpass.getuser(),
        host_key=server.keys[pin] if pin else None,
    )


def cluster_of(server: Server, *hosts: Host, **ssh_settings: str | None) -> Cluster:
    settings = {"key": str(server.login), **ssh_settings}
    return Cluster.model_validate({"name": "demo", "kubernetes": "1.36.3", "ssh": settings, "hosts": hosts})


def run(
    cluster: Cluster, *argv: str, seconds: float = 30, secrets: ssh.Secrets | None = None
) -> list[ssh.CommandResult | Finding]:
    """The results in the file's order."""
    arguments = argv or ("/bin/echo", "hello")
    found = {
        one.name: result
        for one, result in ssh.run_as_root(
            cluster, cluster.hosts, ssh.Command(arguments), secrets=secrets or ssh.Secrets(), seconds=seconds
        )
    }
    return [found[one.name] for one in cluster.hosts]


def refusal(results: list[ssh.CommandResult | Finding]) -> Finding:
    (result,) = results
    assert isinstance(result, Finding)
    assert result.fix
    return result


def output(results: list[ssh.CommandResult | Finding]) -> bytes:
    (result,) = results
    assert isinstance(result, ssh.CommandResult), result
    return result.out


def test_a_pinned_host_answers(server: Server) -> None:
    assert output(run(cluster_of(server, host(server)))) == b"hello\n"


def test_arguments_arrive_as_they_are(server: Server) -> None:
    text = "a 'b' \"c\" $(id) ; `x` \\ \n é"
    assert output(run(cluster_of(server, host(server)), "printf", "%s", text)) == text.encode()


def test_a_pinned_key_of_another_type_than_the_server_prefers_is_enough(server: Server) -> None:
    assert output(run(cluster_of(server, host(server, pin="ecdsa")))) == b"hello\n"


def test_an_unknown_host_key_is_refused_with_the_line_to_write(server: Server) -> None:
    finding = refusal(run(cluster_of(server, host(server, pin=None))))
    assert finding.check == "ssh-host-key-unknown"
    assert "SHA256:" in finding.message
    assert f"host_key: {server.keys['ed25519']}" in finding.fix


def test_a_changed_host_key_is_refused_even_if_known_hosts_has_it(
    server: Server, chatty: Server, home: Path
) -> None:
    known(home, server)
    wrong = host(server).model_copy(update={"host_key": chatty.keys["ed25519"]})
    finding = refusal(run(cluster_of(server, wrong)))
    assert finding.check == "ssh-host-key-changed"
    assert "reinstalled or the connection is intercepted" in finding.message


def known(home: Path, server: Server, key: str = "", *, hashed: bool = False) -> None:
    file = home / ".ssh/known_hosts"
    file.write_text(
        f"# hosts\n@revoked x {server.keys['ecdsa']}\n[127.0.0.1]:{server.port} {key or server.keys['ed25519']}\n"
    )
    if hashed:
        subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(file)], check=True, capture_output=True)


@pytest.mark.parametrize("hashed", [False, True])
def test_known_hosts_counts_for_a_host_without_a_pin(server: Server, home: Path, *, hashed: bool) -> None:
    known(home, server, hashed=hashed)
    assert output(run(cluster_of(server, host(server, pin=None)))) == b"hello\n"


def test_a_key_that_differs_from_known_hosts_is_refused(server: Server, chatty: Server, home: Path) -> None:
    known(home, server, chatty.keys["ed25519"])
    finding = refusal(run(cluster_of(server, host(server, pin=None))))
    assert finding.check == "ssh-host-key-changed"
    assert f"ssh-keygen -R '[127.0.0.1]:{server.port}'" in finding.fix


def test_a_refused_login_names_user_and_keys(server: Server, chatty: Server) -> None:
    finding = refusal(run(cluster_of(server, host(server), key=str(chatty.login))))
    assert finding.check == "ssh-login"
    assert getpass.getuser() in finding.message
    assert str(chatty.login) in finding.message


def test_a_key_with_a_passphrase_that_no_agent_has_is_named_with_the_way_to_add_it(server: Server) -> None:
    finding = refusal(run(cluster_of(server, host(server), key=str(server.locked))))
    assert finding.check == "ssh-key-passphrase"
    assert f"ssh-add {server.locked}" in finding.fix


def test_secrets_are_not_shown() -> None:
    assert PASSPHRASE not in repr(ssh.Secrets(sudo_password=PASSPHRASE))


def test_a_closed_port_is_named(server: Server) -> None:
    port = free_port()
    finding = refusal(run(cluster_of(server, host(server, port=port))))
    assert (finding.check, finding.where) == ("ssh-refused", "h1")
    assert f"127.0.0.1:{port}: connection refused" in finding.message


def test_a_name_that_cannot_be_resolved_is_named(server: Server) -> None:
    unknown = host(server).model_copy(update={"address": "x" * 70 + ".invalid"})  # no label may be that long
    assert refusal(run(cluster_of(server, unknown))).check == "host-name-unknown"


def test_a_silent_host_is_given_up_in_time_and_delays_no_other_host(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and says nothing
        dead = host(server, name="dead", port=silent.getsockname()[1])
        cluster = cluster_of(server, dead, host(server, name="alive"))
        started = time.monotonic()
        answers = ssh.run_as_root(
            cluster, cluster.hosts, ssh.Command(["true"]), secrets=ssh.Secrets(), connect_seconds=5
        )
        arrived = [(one.name, answer, time.monotonic() - started) for one, answer in answers]
    (first, alive, _), (second, finding, seconds) = arrived
    assert (first, second) == ("alive", "dead")
    assert isinstance(alive, ssh.CommandResult)
    assert isinstance(finding, Finding)
    assert finding.check == "ssh-no-answer"
    assert seconds < 8


def test_a_command_that_does_not_end_is_given_up(server: Server) -> None:
    finding = refusal(run(cluster_of(server, host(server)), "sleep", "5", seconds=0.3))
    assert finding.check == "host-too-slow"


def test_a_command_that_fails_is_reported_with_its_last_line(server: Server) -> None:
    finding = refusal(run(cluster_of(server, host(server)), "sh", "-c", "echo one >&2; echo two >&2; exit 3"))
    assert finding.check == "host-not-observed"
    assert "status 3: two" in finding.message


def test_large_output_arrives_whole(server: Server) -> None:
    answer = output(run(cluster_of(server, host(server)), "head", "-c", "3000000", "/dev/zero"))
    assert len(answer) == 3_000_000


def test_many_hosts_answer_at_once(server: Server) -> None:
    hosts = [host(server, name=f"h{number}") for number in range(20)]
    found = run(cluster_of(server, *hosts))
    assert all(isinstance(answer, ssh.CommandResult) for answer in found)


def test_threads_that_take_turns_often_do_not_spoil_each_others_connections(server: Server) -> None:
    hosts = tuple(host(server, name=f"h{number}") for number in range(40))
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with (
            Connections(cluster_of(server, *hosts), ssh.Secrets(), 30) as connections,
            ThreadPoolExecutor(8) as pool,
        ):
            prepared = list(pool.map(connections.prepare, hosts))
    finally:
        sys.setswitchinterval(usual)
    assert [one.client.port for one in prepared] == [server.port] * len(hosts)


def test_a_defect_in_a_hosts_thread_is_raised(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AttributeError("defect")

    monkeypatch.setattr(Connections, "prepare", fail)
    with pytest.raises(AttributeError, match="defect"):
        run(cluster_of(server, host(server)))


def test_all_hosts_share_one_connection_to_a_bastion(server: Server, chatty: Server, home: Path) -> None:
    known(home, chatty)
    bastion = f"{getpass.getuser()}@127.0.0.1:{chatty.port}"
    cluster = cluster_of(
        server, host(server, name="a"), host(server, name="b"), bastion=bastion, key=str(chatty.login)
    )
    findings = [answer.check for answer in run(cluster) if isinstance(answer, Finding)]
    # The bastion accepted its key; the hosts, which have another one, refuse it themselves.
    assert findings == ["ssh-login", "ssh-login"]


def test_hosts_answer_through_a_bastion(server: Server, home: Path) -> None:
    known(home, server)
    cluster = cluster_of(server, host(server), bastion=f"{getpass.getuser()}@127.0.0.1:{server.port}")
    assert output(run(cluster)) == b"hello\n"


def test_an_unknown_bastion_is_refused_once_for_all(server: Server) -> None:
    cluster = cluster_of(server, host(server), bastion=f"{getpass.getuser()}@127.0.0.1:{server.port}")
    with pytest.raises(UnreachableError, match="bastion") as caught:
        run(cluster)
    assert caught.value.findings[0].check == "ssh-host-key-unknown"


def test_a_jump_host_of_opensshs_settings_is_checked_as_well(server: Server, home: Path) -> None:
    jump = f"{getpass.getuser()}@localhost:{server.port}"
    (home / ".ssh/config").write_text(
        f"Host localhost\n  IdentityFile {server.login}\nHost 127.0.0.1\n  ProxyJump {jump}\n"
    )
    cluster = cluster_of(server, host(server))
    finding = refusal(run(cluster))
    assert finding.check == "ssh-jump-host"
    assert finding.message.startswith(f"jump host {jump} does not lead to 127.0.0.1:{server.port}: ")
    assert "Host key verification failed" in finding.message
    (home / ".ssh/known_hosts").write_text(f"[localhost]:{server.port} {server.keys['ed25519']}\n")
    assert output(run(cluster)) == b"hello\n"


def test_a_file_arrives_byte_for_byte_whatever_the_login_shell_prints(chatty: Server, tmp_path: Path) -> None:
    content = bytes(range(256)) + b"\nno newline at the end"
    (tmp_path / "admin.conf").write_bytes(content)
    cluster = cluster_of(chatty, host(chatty))
    found = ssh.fetch_file(cluster, cluster.hosts[0], str(tmp_path / "admin.conf"), secrets=ssh.Secrets())
    assert found == content


def test_a_file_that_is_not_there_is_an_error_that_names_it(server: Server) -> None:
    cluster = cluster_of(server, host(server))
    with pytest.raises(UnreachableError, match="/no/such/file cannot be read from h1"):
        ssh.fetch_file(cluster, cluster.hosts[0], "/no/such/file", secrets=ssh.Secrets())


def test_observing_gives_facts_of_every_host_and_an_event_for_each(chatty: Server) -> None:
    events: list[Event] = []
    seen = observe(cluster_of(chatty, host(chatty, name="a"), host(chatty, name="b")), emit=events.append)
    assert list(seen.hosts) == ["a", "b"]
    assert abs(seen.hosts["a"].skew) < 5
    assert sorted(event.host for event in events if isinstance(event, Observed)) == ["a", "b"]


def test_observing_names_every_host_that_does_not_answer_at_once(server: Server) -> None:
    events: list[Event] = []
    dead = [host(server, name=name, port=free_port()) for name in ("x", "y")]
    with pytest.raises(UnreachableError, match="2 of 3 hosts") as caught:
        observe(cluster_of(server, *dead, host(server, name="z")), emit=events.append)
    assert [finding.where for finding in caught.value.findings] == ["x", "y"]
    errors = {event.host: event.error for event in events if isinstance(event, Observed)}
    assert errors["z"] == ""
    assert "refused" in errors["x"]


def test_no_thread_is_left_behind(
    server: Server, home: Path, until: Callable[[Callable[[], bool]], None]
) -> None:
    before = set(threading.enumerate())
    known(home, server)
    run(cluster_of(server, host(server), bastion=f"{getpass.getuser()}@127.0.0.1:{server.port}"))
    until(lambda: set(threading.enumerate()) <= before)


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Wait for a condition, at most five seconds."""

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 5
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    return wait
