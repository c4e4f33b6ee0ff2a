"""Interfaces and routes of Calico, removed; every other one stays as it is."""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ansible.module_utils.provision_host import Changes, HostError, Run, run

if TYPE_CHECKING:
    from collections.abc import Iterator

# cali + 11 hexadecimal digits: a pod's end; the tunnels; the addresses of kube-proxy in IPVS mode.
_OURS = re.compile(r"cali[0-9a-f]{11}|vxlan\.calico|vxlan-v6\.calico|wireguard\.cali|wg-v6\.cali|kube-ipvs0")
_BRIDGE = "docker0"
_PROTOCOLS = ("80", "bird")  # Felix's, and those that Calico's BIRD learned


def remove_links(
    changes: Changes, *, root: Path = Path("/"), run: Run = run, docker_leaves: bool = False
) -> None:
    """Delete the interfaces; the kernel's own tunl0 cannot be deleted, it loses its addresses instead."""
    places = {path.name: path for path in sorted((root / "sys/class/net").glob("*"))}
    for name, place in places.items():
        if _OURS.fullmatch(name) or (docker_leaves and name == _BRIDGE):
            changes.make(f"removed the interface {name}", lambda place=place: _remove_link(place, run))
    if "tunl0" in places and run(["ip", "-oneline", "address", "show", "dev", "tunl0"]).out.strip():

        def effect() -> None:
            run(["ip", "address", "flush", "dev", "tunl0"])
            run(["ip", "link", "set", "tunl0", "down"])

        changes.make("emptied the interface tunl0", effect)


def _remove_link(place: Path, run: Run) -> None:
    """A pod's end goes by itself a moment after the namespace with the other end: being gone is no failure."""
    try:
        run(["ip", "link", "delete", place.name])
    except HostError:
        if os.path.lexists(place):
            raise


def remove_routes(pod_cidr: str, changes: Changes, *, run: Run = run) -> None:
    """Delete the routes to pods that Calico left: blackholes of blocks, and ways to other nodes."""
    pods = ipaddress.ip_network(pod_cidr)
    for protocol in _PROTOCOLS:
        shown = run(["ip", "-oneline", "route", "show", "proto", protocol], check=False).out
        for line in shown.splitlines():
            words = line.split()
            kind = words.pop(0) if words[0] in {"blackhole", "unreachable", "prohibit"} else ""
            if _is_below(words[0], pods):
                argv = ["ip", "route", "delete", *([kind] if kind else []), words[0], "proto", protocol]
                changes.make(f"removed the route to {words[0]}", lambda argv=argv: run(argv, check=False))


def remove_namespaces(changes: Changes, *, root: Path = Path("/"), run: Run = run) -> None:
    """Delete the network namespaces that the runtime made for pods, and with them their ends of the interfaces."""
    for path in _namespaces(root):
        changes.make(
            f"removed the network namespace {path.name}",
            lambda name=path.name: run(["ip", "netns", "delete", name]),
        )


def _namespaces(root: Path) -> Iterator[Path]:
    yield from sorted((root / "run/netns").glob("cni-*"))


def _is_below(destination: str, pods: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    try:
        network = ipaddress.ip_network(destination, strict=False)
    except ValueError:
        return False  # "default"
    return network.version == pods.version and network.subnet_of(pods)  # type: ignore[arg-type]
