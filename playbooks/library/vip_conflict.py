"""Detect another machine that has the virtual address already: two with one address harm both."""

from __future__ import annotations

import socket
import struct
import time
from typing import TYPE_CHECKING, Any

from ansible.module_utils.provision_host import Changes, HostError
from ansible.module_utils.provision_module import run_module

if TYPE_CHECKING:
    from collections.abc import Callable

DOCUMENTATION = r"""
module: vip_conflict
short_description: Fail if another machine has a virtual address
description:
  - Sends ARP probes (RFC 5227), which change no machine's tables.
options:
  address: {description: The IPv4 address, type: str, required: true}
  interface: {description: The interface on the address's network, type: str, required: true}
author: provision
"""

_PROBES, _WAIT = 3, 1.0  # probes, and seconds for an answer to each
_ARP = 0x0806  # EtherType
_ETHERNET, _IPV4, _REQUEST = 1, 0x0800, 1
_FRAME = struct.Struct("!6s6sH HHBBH 6s4s6s4s")  # Ethernet's header, then RFC 826
_BROADCAST, _UNKNOWN = b"\xff" * 6, b"\0" * 6


def provide(
    wanted: dict[str, Any],
    _changes: Changes,
    *,
    wire: Callable[[str], tuple[socket.socket, bytes]] | None = None,
) -> None:
    """Raises HostError with the hardware address of the machine that has the address."""
    address, interface = wanted["address"], wanted["interface"]
    try:
        connection, own = (wire or _wire)(interface)
        with connection:
            holder = _holder(connection, own, address)
    except OSError as error:
        raise HostError(f"cannot ask for {address} on {interface}: {error.strerror}") from error
    if holder:
        raise HostError(
            f"the virtual address {address} is another machine's ({holder} answers on {interface}): "
            "write a free one into the cluster file"
        )


def _wire(interface: str) -> tuple[socket.socket, bytes]:
    """A socket for the interface's ARP frames, and its hardware address."""
    connection = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ARP))
    connection.bind((interface, _ARP))
    return connection, connection.getsockname()[4]


def _holder(connection: socket.socket, own: bytes, address: str) -> str:
    """The hardware address of the machine that answers for the address; "" without one."""
    ip = socket.inet_aton(address)
    probe = _FRAME.pack(_BROADCAST, own, _ARP, _ETHERNET, _IPV4, 6, 4, _REQUEST, own, bytes(4), _UNKNOWN, ip)
    for _ in range(_PROBES):
        connection.send(probe)
        deadline = time.monotonic() + _WAIT
        while (left := deadline - time.monotonic()) > 0:
            connection.settimeout(left)
            try:
                frame = connection.recv(1 << 11)
            except socket.timeout:  # TimeoutError since Python 3.10
                break
            if len(frame) >= _FRAME.size:
                *_, hardware, sender, _target, _asked = _FRAME.unpack_from(frame)
                if sender == ip and hardware != own:
                    return ":".join(f"{byte:02x}" for byte in hardware)
    return ""


if __name__ == "__main__":
    text = {"type": "str", "required": True}
    run_module({"address": text, "interface": text}, provide)
