"""Ranges of pods and services: well-formed, wide enough, and not overlapping each other or the hosts.

kubeadm lets the controller manager give every node a /24 of the pod range (its default node mask for IPv4),
whether or not Calico uses it, and refuses a pod range more than 16 bits wider than that. Hence /8 to /24, and
2^(24 - prefix) nodes. Services: kubeadm wants at least 10 addresses, the API server at most 2^20: /12 to /28.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING

from provision.config.yaml.problem import Key, Problem, quote
from provision.model.cluster import Network
from provision.model.units import parse_ip, parse_ipv4_range

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provision.config.rules.hosts import Draft

_NODE_MASK = 24
_PODS, _SERVICES = range(8, _NODE_MASK + 1), range(12, 29)
_PRIVATE = (
    "10.244.0.0/16",
    "172.20.0.0/16",
    "192.168.0.0/16",
    "10.96.0.0/12",
    "172.24.0.0/14",
    "10.128.0.0/12",
)


def pod_range(key: Key, value: str) -> Iterator[Problem]:
    """Demand an IPv4 range that kubeadm's controller manager can divide among nodes."""
    yield from _range(key, value, _PODS)


def service_range(key: Key, value: str) -> Iterator[Problem]:
    """Demand an IPv4 range that the API server accepts for services."""
    yield from _range(key, value, _SERVICES)


def source(key: Key, value: str) -> Iterator[Problem]:
    """Demand an address or a range that packets can come from, with no address bits behind its prefix."""
    try:
        network = ip_network(value, strict=False)
    except ValueError:
        message = f"{quote(value)} is neither an address nor a range"
        yield range_problem(key, message, "for example 10.20.0.0/16 or 10.20.0.7")
        return
    if str(network) not in (value, f"{value}/{network.max_prefixlen}"):
        yield range_problem(
            key, f"{quote(value)} has address bits set behind the prefix", f"did you mean {network}?"
        )


def overlapping_ranges(draft: Draft) -> Iterator[Problem]:
    """Refuse ranges that overlap each other or contain the address of a host or of the endpoint."""
    pods, services = draft.pods, draft.services
    key: Key = (
        "network",
        "service_cidr" if not draft.pods_written and draft.services_written else "pod_cidr",
    )
    if pods and services and pods.overlaps(services):
        apart_from = pods if key[-1] == "service_cidr" else services
        yield Problem(
            key,
            "ranges-overlap",
            f"the pod range {pods} overlaps the service range {services}",
            f"write {_free(draft, apart_from, key)}",
        )
    for name, taken, other in (("pod", pods, services), ("service", services, pods)):
        inside = [host.name or host.address for host in draft.hosts if _holds(taken, host.address)]
        if inside:
            here: Key = ("network", f"{name}_cidr")
            yield Problem(
                here,
                "ranges-overlap",
                f"the {name} range {taken} holds the address of {_some(inside)}",
                f"write {_free(draft, other, here)}",
            )
        key_of_endpoint, address = draft.endpoint_address
        if _holds(taken, address) and not _is_host(draft, address):
            message = f"{address} is inside the {name} range {taken}"
            fix = "write an address of the hosts' own network, or change the range"
            yield Problem(key_of_endpoint, "ranges-overlap", message, fix)


def pod_range_size(draft: Draft) -> Iterator[Problem]:
    """Refuse a pod range with fewer /24 networks than hosts; warn if none is left for another node."""
    if not draft.pods or draft.pods.prefixlen not in _PODS or not draft.hosts:
        return
    room, hosts = 2 ** (_NODE_MASK - draft.pods.prefixlen), len(draft.hosts)
    wider = _NODE_MASK - hosts.bit_length() - 1
    fix = f"write a range of /{max(wider, _PODS.start)} or wider, for example 10.244.0.0/16"
    message = f"{draft.pods} has room for {room} nodes (a /{_NODE_MASK} each); the file has {hosts} hosts"
    if hosts > room:
        yield Problem(("network", "pod_cidr"), "pod-range-size", message, fix)
    elif hosts == room:
        message = f"{message}: no node can be added later"
        yield Problem(("network", "pod_cidr"), "pod-range-size", message, fix, severity="warning")


def _range(key: Key, value: str, prefixes: range) -> Iterator[Problem]:
    default = str(Network.model_fields[str(key[-1])].default)
    problems = list(ipv4_range(key, value, prefixes, default))
    yield from problems
    network = None if problems else parse_ipv4_range(value)
    if network and not network.is_private and not network.subnet_of(IPv4Network("100.64.0.0/10")):
        yield Problem(
            key,
            "range",
            f"{value} is public: pods will not reach those addresses of the Internet",
            f"write a private range, for example {default}",
            severity="warning",
        )


def _holds(network: IPv4Network | None, address: str) -> bool:
    ip = parse_ip(address)
    return network is not None and ip is not None and ip in network


def _is_host(draft: Draft, address: str) -> bool:
    return any(host.address == address for host in draft.hosts)


def _free(draft: Draft, other: IPv4Network | None, key: Key) -> str:
    """Return a private range for a key that overlaps neither the other range nor a host."""
    prefixes = _SERVICES if key[-1] == "service_cidr" else _PODS
    for text in (str(Network.model_fields[str(key[-1])].default), *_PRIVATE):
        network = IPv4Network(text)
        taken = (other and network.overlaps(other)) or any(
            _holds(network, host.address) for host in draft.hosts
        )
        if not taken and network.prefixlen in prefixes:
            return text
    return "a private range that nothing else uses"


def _some(names: list[str]) -> str:
    shown_names = names[:3]
    more = len(names) - len(shown_names)
    return ", ".join(shown_names) + (f" and {more} more hosts" if more else "")


def ipv4_range(key: Key, value: str, prefixes: range, example: str) -> Iterator[Problem]:
    """Demand an IPv4 range in canonical form, with a prefix length of `prefixes`; `example` is a valid one."""
    if "," in value:
        yield ipv6_range(key, value)
        return
    if re.fullmatch(r"[^/]+/\d+\.\d+\.\d+\.\d+", value) or "/" not in value:
        what = "has no prefix length" if parse_ip(value) else "is not a range"
        what = "has a mask instead of a prefix length" if "/" in value else what
        yield range_problem(key, f"{quote(value)} {what}", f"for example {example}")
        return
    try:
        network = ip_network(value, strict=False)
    except ValueError:
        yield range_problem(key, f"{quote(value)} is not a range", f"for example {example}")
        return
    if isinstance(network, IPv6Network):
        yield ipv6_range(key, value)
    elif str(network) != value:
        fix = f"did you mean {network}?" if network.prefixlen in prefixes else f"for example {example}"
        yield range_problem(key, f"{quote(value)} has address bits set behind the prefix", fix)
    elif network.prefixlen not in prefixes:
        small = network.prefixlen > prefixes[-1]
        message = (
            f"{value} is too {'small' if small else 'large'}; /{prefixes[0]} to /{prefixes[-1]} is possible"
        )
        yield range_problem(key, message, f"for example {example}")
    elif network.is_loopback or network.is_multicast or network.is_link_local or network.is_reserved:
        yield range_problem(key, f"{value} is reserved", f"write a private range, for example {example}")


def range_problem(key: Key, message: str, fix: str) -> Problem:
    return Problem(key, "range", message, fix)


def ipv6_range(key: Key, value: str) -> Problem:
    """Return the problem of an IPv6 or dual-stack range: Calico is set up for IPv4 pods only so far."""
    what = "dual-stack ranges are" if "," in value else "IPv6 ranges are"
    message = f"{what} not supported yet by this release"
    return Problem(key, "not-yet", message, "write one IPv4 range")
