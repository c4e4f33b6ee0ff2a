"""What can be said of a file that may still be wrong in places: the input of rules that compare keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from provision.config.rules.ranges import parsed_range
from provision.model.cluster import Network
from provision.model.units import split_host_port

if TYPE_CHECKING:
    from collections.abc import Mapping
    from ipaddress import IPv4Network

    from provision.config.problem import Key


@dataclass(frozen=True, slots=True)
class DraftHost:
    """A host as far as it is text; "" where something else, or nothing, was written."""

    index: int
    name: str
    address: str
    role: str


@dataclass(frozen=True, slots=True)
class Draft:
    """Hosts and ranges of a file, None or "" where nothing usable was written."""

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
        """The host part of the endpoint, and where it was written; ("endpoint",) and "" where nothing usable is."""
        parts = split_host_port(self.endpoint)
        return (("endpoint", "vip"), self.vip) if self.vip else (("endpoint",), parts[0] if parts else "")


def drafted(data: Mapping[str, object]) -> Draft:
    """Take out of plain data what the rules compare."""
    network = data.get("network", {})
    network = network if isinstance(network, dict) else {}
    endpoint = data.get("endpoint")
    listed = data.get("hosts")
    hosts = listed if isinstance(listed, tuple) else ()
    return Draft(
        hosts=tuple(
            DraftHost(
                index=index,
                name=_text(host, "name"),
                address=_text(host, "address"),
                role=_text(host, "role"),
            )
            for index, host in enumerate(hosts)
            if isinstance(host, dict)
        ),
        listed=isinstance(listed, tuple),
        pods=parsed_range(network.get("pod_cidr", Network().pod_cidr)),
        services=parsed_range(network.get("service_cidr", Network().service_cidr)),
        pods_written="pod_cidr" in network,
        services_written="service_cidr" in network,
        endpoint=_text(data, "endpoint"),
        vip=_text(endpoint, "vip") if isinstance(endpoint, dict) else "",
    )


def _text(values: Mapping[str, object], key: str) -> str:
    value = values.get(key)
    return value if isinstance(value, str) else ""
