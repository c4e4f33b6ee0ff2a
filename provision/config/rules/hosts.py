"""Rules that compare hosts: duplicates, the number of control planes, and the endpoint they need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from provision.config.rules.rulebook import entries, section, text
from provision.config.yaml.problem import Key, Problem
from provision.model.cluster import Network
from provision.model.units import parse_ip, parse_ipv4_range, split_host_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from ipaddress import IPv4Network


@dataclass(frozen=True, slots=True)
class DraftHost:
    """A host of a file that may be invalid; "" for what is missing or not text."""

    index: int
    name: str
    address: str
    role: str


@dataclass(frozen=True, slots=True)
class Draft:
    """Hosts and ranges of a file that may be invalid; None or "" for what is missing or malformed."""

    hosts: tuple[DraftHost, ...]
    listed: bool  # the file has a list of hosts
    pods: IPv4Network | None
    services: IPv4Network | None
    pods_written: bool
    services_written: bool
    endpoint: str
    vip: str

    @property
    def endpoint_address(self) -> tuple[Key, str]:
        """The key and the host part of the endpoint; ("endpoint",) and "" if it is missing or malformed."""
        parts = split_host_port(self.endpoint)
        return (("endpoint", "vip"), self.vip) if self.vip else (("endpoint",), parts[0] if parts else "")


def read_draft(data: Mapping[str, object]) -> Draft:
    """Read the values that the rules compare from plain data."""
    network = section(data, "network")
    return Draft(
        hosts=tuple(
            DraftHost(
                index=index, name=text(host, "name"), address=text(host, "address"), role=text(host, "role")
            )
            for index, host in entries(data, "hosts")
        ),
        listed=isinstance(data.get("hosts"), tuple),
        pods=parse_ipv4_range(network.get("pod_cidr", Network().pod_cidr)),
        services=parse_ipv4_range(network.get("service_cidr", Network().service_cidr)),
        pods_written="pod_cidr" in network,
        services_written="service_cidr" in network,
        endpoint=text(data, "endpoint"),
        vip=text(section(data, "endpoint"), "vip"),
    )


def duplicate_hosts(draft: Draft) -> Iterator[Problem]:
    names: dict[str, DraftHost] = {}
    addresses: dict[str, DraftHost] = {}
    for host in draft.hosts:
        first = names.setdefault(host.name.lower(), host)
        if host.name and first is not host:
            message = f"{host.name} is also the name of hosts[{first.index}]"
            yield _refused(("hosts", host.index, "name"), message, "give every host a name of its own")
        ip = parse_ip(host.address)
        same = addresses.setdefault(str(ip) if ip else host.address.lower().rstrip("."), host)
        if host.address and same is not host:
            other = same.name or f"hosts[{same.index}]"
            message = f"{host.address} is also the address of {other}"
            yield _refused(
                ("hosts", host.index, "address"), message, "write each machine once, with one role"
            )


def control_plane_count(draft: Draft) -> Iterator[Problem]:
    """Refuse none; warn of an even number, which tolerates no more failures than one less."""
    count = _control_planes(draft)
    unclear = any(host.role not in ("control-plane", "worker") for host in draft.hosts)
    key: Key = ("hosts",)
    if draft.listed and not count and not unclear:
        message = "no host has the role control-plane" if draft.hosts else "no hosts are given"
        fix = "write role: control-plane for one host, or for three"
        yield Problem(key, "control-planes", message, fix)
    elif count and count % 2 == 0:
        message = f"{count} control planes tolerate no more failures than {count - 1}, and need more to agree"
        fix = f"use {count - 1} or {count + 1}"
        yield Problem(key, "control-planes", message, fix, severity="warning")


def endpoint_choice(draft: Draft) -> Iterator[Problem]:
    """Refuse a missing endpoint of several control planes, and a worker as endpoint; warn of one control plane."""
    count = _control_planes(draft)
    parts = split_host_port(draft.endpoint)
    if count > 1 and not draft.endpoint and not draft.vip:
        yield Problem(
            ("endpoint",),
            "endpoint",
            f"endpoint is missing; {count} control planes need one address that clients use",
            "add `endpoint: HOST:6443`, a load balancer's, or `endpoint: {vip: ADDRESS}`, or `endpoint: local`",
        )
    for host in draft.hosts if parts else ():
        if not parts or parse_ip(host.address) != parse_ip(parts[0]) or not parse_ip(parts[0]):
            continue
        if host.role == "worker":
            message = f"{parts[0]} is the address of the worker {host.name}"
            fix = "write the address of a load balancer or of a control plane"
            yield Problem(("endpoint",), "endpoint", message, fix)
        elif host.role == "control-plane" and count > 1:
            message = (
                f"{parts[0]} is the address of {host.name} alone: when it fails, clients lose the cluster"
            )
            fix = "write the address of a load balancer, or a virtual address"
            yield Problem(("endpoint",), "endpoint", message, fix, severity="warning")


def virtual_address_conflict(draft: Draft) -> Iterator[Problem]:
    """Refuse a virtual address that is the address of a host."""
    ip = parse_ip(draft.vip)
    for host in draft.hosts if ip else ():
        if parse_ip(host.address) == ip:
            message = f"{draft.vip} is the address of {host.name}"
            fix = "write a free address of the same network"
            yield Problem(("endpoint", "vip"), "endpoint", message, fix)


def _control_planes(draft: Draft) -> int:
    return sum(host.role == "control-plane" for host in draft.hosts)


def _refused(key: Key, message: str, fix: str) -> Problem:
    return Problem(key, "duplicate-host", message, fix)
