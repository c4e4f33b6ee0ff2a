"""Pinning the host keys of a real sshd."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provision.errors import InterruptedRunError, UnreachableError
from provision.model.cluster import Cluster, Host
from provision.ssh.trust import Confirm, pin_host_keys, pin_replacement
from tests.unit.providers.kubeadm import factories

from . import sshd

if TYPE_CHECKING:
    from provision.ssh.host_keys import HostKey

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGBpyyMbcmMQMuDyv4nRJM3sYAnPQYo6pxYBYWGKDyZm"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sshd.Server]:
    with sshd.running(tmp_path_factory.mktemp("sshd")) as server:
        yield server


def cluster() -> Cluster:
    return factories.cluster("cp", "w", ssh={"user": "ubuntu"})


def new(server: sshd.Server) -> Host:
    return Host(name="w2", address=sshd.ADDRESS, role="worker", port=server.port, user=server.user)


def pinned(
    server: sshd.Server, given: Mapping[str, str] | None = None, confirm: Confirm | None = None
) -> str | None:
    (host,) = pin_host_keys(
        cluster(), [new(server)], given or {}, command=["provision", "node", "add"], confirm=confirm
    )
    return host.host_key


def fingerprint(path: Path) -> str:
    printed = subprocess.run(["ssh-keygen", "-lf", path], check=True, capture_output=True, text=True)
    return printed.stdout.split()[1]


def test_an_unknown_key_is_refused_with_its_fingerprint_and_the_command_to_type(server: sshd.Server) -> None:
    with pytest.raises(UnreachableError) as refusal:
        pinned(server)

    (finding,) = refusal.value.findings
    assert "SHA256:" in finding.message
    assert finding.fix.endswith(f"provision node add --host-key '{server.host_key}'")


def test_a_given_key_is_pinned_without_contact_and_a_fingerprint_when_the_host_shows_its_key(
    server: sshd.Server,
) -> None:
    assert pinned(server, {"w2": KEY}) == KEY
    assert pinned(server, {"w2": fingerprint(server.key.parent / "host.pub")}) == server.host_key


@pytest.mark.parametrize("given", ["SHA256:of-another-key", ""])
def test_a_fingerprint_that_the_shown_key_does_not_have_is_refused(server: sshd.Server, given: str) -> None:
    with pytest.raises(UnreachableError) as refusal:
        pinned(server, {"w2": given})
    assert refusal.value.findings[0].message.endswith(f"but --host-key says {given}")


def test_an_unknown_key_is_pinned_only_if_it_is_confirmed(server: sshd.Server) -> None:
    shown: list[tuple[Host, HostKey]] = []

    def answer(keys: Sequence[tuple[Host, HostKey]]) -> bool:
        shown.extend(keys)
        return len(shown) == 1

    assert pinned(server, confirm=answer) == server.host_key
    with pytest.raises(InterruptedRunError, match="nothing was changed"):
        pinned(server, confirm=answer)
    assert [(host.name, key.fingerprint) for host, key in shown] == [
        ("w2", fingerprint(server.key.parent / "host.pub"))
    ] * 2


def test_a_key_of_known_hosts_is_pinned_without_a_question(server: sshd.Server, home: Path) -> None:
    (home / ".ssh" / "known_hosts").write_text(f"[{sshd.ADDRESS}]:{server.port} {server.host_key}\n")

    assert pinned(server) == server.host_key


def test_a_host_that_cannot_be_reached_is_named(server: sshd.Server) -> None:
    closed = new(server).model_copy(update={"port": 1})

    with pytest.raises(UnreachableError) as refusal:
        pin_host_keys(cluster(), [closed], {}, command=[], confirm=None)

    assert "connection refused" in refusal.value.findings[0].message


def test_a_reinstalled_machine_that_shows_its_old_key_is_trusted(server: sshd.Server) -> None:
    old = new(server).model_copy(update={"host_key": f"{server.host_key} a comment"})

    same = pin_replacement(cluster(), old, old, {}, command=[], confirm=None)

    assert same == old
    with pytest.raises(UnreachableError):
        pin_replacement(
            cluster(), old.model_copy(update={"host_key": KEY}), old, {}, command=[], confirm=None
        )
