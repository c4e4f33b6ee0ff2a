"""What values of the file may be: one rule per key, and rules that compare several. All pure.

They look at plain data, not at the model, and all of them always run: a file with a wrong type in one place
still hears of the other places.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.config.rules import addresses, hosts, mirror, names, networks, nodes, preflight, ssh, version
from provision.config.rules.draft import drafted
from provision.config.rules.text import unsafe_text
from provision.config.rules.unbuilt import not_yet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from provision.config.problem import Key, Problem

_ANY = "*"
_TEXT_RULES: Mapping[tuple[str, ...], Callable[[Key, str], Iterator[Problem]]] = {
    ("name",): names.cluster_name,
    ("provider",): not_yet,
    ("kubernetes",): version.kubernetes_version,
    ("runtime",): not_yet,
    ("network", "pod_cidr"): networks.pod_range,
    ("network", "service_cidr"): networks.service_range,
    ("endpoint",): addresses.endpoint,
    ("ssh", "user"): names.user_name,
    ("ssh", "key"): ssh.key_file,
    ("ssh", "bastion"): addresses.bastion,
    ("hosts", _ANY, "name"): names.host_name,
    ("hosts", _ANY, "address"): addresses.host_address,
    ("hosts", _ANY, "user"): names.user_name,
    ("hosts", _ANY, "host_key"): ssh.host_key,
    ("hosts", _ANY, "labels", _ANY): nodes.label,
    ("hosts", _ANY, "taints", _ANY): nodes.taint,
    ("kubeadm", "ignore_preflight_errors", _ANY): preflight.preflight_check,
    ("mirror", "packages"): mirror.base_url,
    ("mirror", "packages_key"): mirror.packages_key,
    ("mirror", "images"): mirror.base_url,
    ("mirror", "manifests"): mirror.base_url,
}
_NUMBER_RULES: Mapping[tuple[str, ...], Callable[[Key, int], Iterator[Problem]]] = {
    ("hosts", _ANY, "port"): addresses.port,
}
_COMPARING_RULES = (
    hosts.duplicate_hosts,
    hosts.control_plane_count,
    hosts.endpoint_needed,
    networks.ranges_overlap,
    networks.pods_wide_enough,
)


def problems_of_values(data: Mapping[str, object]) -> Iterator[Problem]:
    """Yield what every rule finds in plain data (dicts, tuples, scalars), single values first."""
    yield from unsafe_text((), data)
    for key, value in _leaves((), data):
        place = _place(key)
        if isinstance(value, str) and place in _TEXT_RULES:
            yield from _TEXT_RULES[place](key, value)
        elif isinstance(value, int) and not isinstance(value, bool) and place in _NUMBER_RULES:
            yield from _NUMBER_RULES[place](key, value)
    yield from mirror.key_without_packages(data)
    draft = drafted(data)
    for rule in _COMPARING_RULES:
        yield from rule(draft)


def _leaves(key: Key, value: object) -> Iterator[tuple[Key, object]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _leaves((*key, name), item)
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _leaves((*key, index), item)
    else:
        yield key, value


def _place(key: Key) -> tuple[str, ...]:
    """`("hosts", 0, "labels", "disk")` -> `("hosts", "*", "labels", "*")`."""
    return tuple(
        _ANY if isinstance(part, int) or "labels" in key[:index] else part for index, part in enumerate(key)
    )
