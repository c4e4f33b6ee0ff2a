"""Whether a virtual address is nobody's; the wire is a pair of sockets, the frames on it are real."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from .conftest import library

vip_conflict = library("vip_conflict")
host = library("provision_host")

OWN, OTHER = bytes.fromhex("02000000000a"), bytes.fromhex("02000000000b")
WANTED = {"address": "10.0.0.10", "interface": "eth0"}
Wire = tuple[socket.socket, socket.socket]


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    monkeypatch.setattr(vip_conflict, "_WAIT", 0.2)
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with here, there:
        there.settimeout(5)
        yield here, there


def asked(here: socket.socket) -> None:
    vip_conflict.provide(WANTED, host.Changes(), wire=lambda _interface: (here, OWN))


def reply(hardware: bytes, address: str) -> bytes:
    """An answer as a machine gives it, padded to Ethernet's shortest frame."""
    ip = socket.inet_aton(address)
    frame = struct.pack(
        "!6s6sHHHBBH6s4s6s4s", OWN, hardware, 0x0806, 1, 0x0800, 6, 4, 2, hardware, ip, OWN, bytes(4)
    )
    return frame.ljust(60, b"\0")


def test_an_address_that_nobody_has_is_free_after_three_probes(wire: Wire) -> None:
    here, there = wire
    there.send(reply(OTHER, "10.0.0.11"))  # what others say of themselves
    there.send(reply(OWN, "10.0.0.10"))  # our own word

    asked(here)

    probes = [there.recv(2048) for _ in range(3)]
    assert len(set(probes)) == 1
    assert probes[0] == bytes.fromhex(
        "ffffffffffff 02000000000a 0806 0001 0800 06 04 0001 02000000000a 00000000 000000000000 0a00000a"
    )


def test_a_machine_that_has_it_is_named(wire: Wire) -> None:
    here, there = wire

    def answer() -> None:
        there.recv(2048)
        there.send(reply(OTHER, "10.0.0.10"))

    thread = threading.Thread(target=answer)
    thread.start()
    with pytest.raises(
        host.HostError, match=r"10\.0\.0\.10 is another machine's \(02:00:00:00:00:0b answers on eth0\)"
    ):
        asked(here)
    thread.join()


def test_an_interface_that_is_not_there_is_said() -> None:
    def no_wire(_interface: str) -> tuple[socket.socket, bytes]:
        raise OSError(19, "No such device")

    with pytest.raises(host.HostError, match=r"cannot ask for 10\.0\.0\.10 on eth0: No such device"):
        vip_conflict.provide(WANTED, host.Changes(), wire=no_wire)
