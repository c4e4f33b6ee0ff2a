"""Addresses as programs write them: an IPv6 address stands in brackets before its port."""

from __future__ import annotations


def host_and_port(server: str) -> tuple[str, int]:
    """`[::1]:6443` -> ("::1", 6443)."""
    host, _, port = server.rpartition(":")
    return host.strip("[]"), int(port)


def bracketed(address: str) -> str:
    """`::1` -> `[::1]`; names and IPv4 addresses stay as they are."""
    return f"[{address}]" if ":" in address else address
