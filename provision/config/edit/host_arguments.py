"""Hosts and host keys from command-line arguments: `NAME [user@]address[:port]`, `--host-key`, `--label`, `--taint`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from provision.config.rules import validate_values
from provision.errors import FileError
from provision.model.cluster import Host, Role
from provision.model.plan import Finding
from provision.model.units import split_destination

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from provision.model.cluster import Cluster

_DESTINATION = re.compile(r"(?:(?P<user>[^@=\s]+)@)?(?P<address>[^@=\s]+)")
_SSH_PORT = 22
_EXAMPLE = "for example `provision node add w3 ubuntu@10.0.0.23`"


@dataclass(frozen=True, slots=True)
class Destination:
    """Where to log in: `[user@]address[:port]`, an IPv6 address in brackets if there is a port; else OpenSSH's."""

    address: str
    port: int | None
    user: str | None

    def __str__(self) -> str:
        address = f"[{self.address}]" if ":" in self.address and self.port else self.address
        port = f":{self.port}" if self.port else ""
        return f"{self.user}@{address}{port}" if self.user else f"{address}{port}"


def parse_destination(text: str) -> Destination:
    """Parse `[user@]address[:port]`. Raises FileError."""
    match = _DESTINATION.fullmatch(text)
    if match is None:
        raise FileError(f"{text!r} is not [user@]address[:port]", fix=_EXAMPLE)
    _, address, port = split_destination(match["address"])
    return Destination(address, port or None, match["user"])


def parse_hosts(arguments: Sequence[str]) -> dict[str, Destination]:
    """`w3 ubuntu@10.0.0.23 w4 10.0.0.24` -> the destination of each name. Raises FileError."""
    if not arguments or len(arguments) % 2:
        odd = f"{arguments[-1]} has no address" if arguments else "no host is named"
        raise FileError(f"{odd}; hosts are pairs of a name and [user@]address[:port]", fix=_EXAMPLE)
    names = list(arguments[::2])
    duplicate = next((name for name in names if names.count(name) > 1), None)
    if duplicate:
        raise FileError(f"{duplicate} is named twice", fix="name every host once")
    return {name: parse_destination(text) for name, text in zip(names, arguments[1::2], strict=True)}


def resolve_hosts(
    cluster: Cluster,
    destinations: Mapping[str, Destination],
    *,
    role: Role | None,
    labels: Sequence[str],
    taints: Sequence[str],
) -> list[Host]:
    """The host of each name: the one in the file if there is one, else a new one without a host key.

    `labels` are `key=value`. Raises FileError with everything that is wrong, or for a name or address that is taken.
    """
    parsed_labels = dict(_parse_label(text) for text in labels)
    hosts = []
    for name, destination in destinations.items():
        host = Host(
            name=name,
            address=destination.address,
            role=role or "worker",
            port=destination.port,
            user=None if destination.user == cluster.ssh.user else destination.user,
            labels=parsed_labels,
            taints=tuple(taints),
        )
        present = next((other for other in cluster.hosts if other.name == name), None)
        if present is not None:
            _refuse_changes(present, host, destination, role=role, marked=bool(parsed_labels or taints))
        hosts.append(present or host)
    _refuse_invalid([host for host in hosts if host not in cluster.hosts])
    for host in hosts:
        other = next(
            (one for one in cluster.hosts if one.address == host.address and one.name != host.name), None
        )
        if other is not None:
            raise FileError(
                f"{host.name}: {host.address} is the address of {other.name}", fix="write each machine once"
            )
    return hosts


def _refuse_changes(
    present: Host, host: Host, destination: Destination, *, role: Role | None, marked: bool
) -> None:
    """Accept a host that is in the file already, so that a command can be repeated, but not changes to it."""
    there, here = (present.address, present.port or _SSH_PORT), (host.address, host.port or _SSH_PORT)
    if there != here:
        raise FileError(
            f"{host.name} is in the file at {present.address}, not at {host.address}",
            fix=f"a new machine under the old name: provision node replace {host.name} {destination}",
        )
    if role is not None and present.role != role:
        raise FileError(
            f"{host.name} is in the file as a {present.role}, not as a {role}",
            fix=f"leave --role out, or `provision node remove {host.name}` first",
        )
    if marked and (dict(present.labels), present.taints) != (dict(host.labels), host.taints):
        raise FileError(
            f"{host.name} is in the file with other labels or taints",
            fix="change them in the file and `provision apply`; or leave --label and --taint out",
        )


def _refuse_invalid(hosts: Sequence[Host]) -> None:
    data = {"hosts": tuple(host.model_dump(exclude_none=True) for host in hosts)}
    findings = []
    for problem in validate_values(data):
        match problem.key:
            case ("hosts", int(index), *rest) if problem.severity == "error":
                findings.append(
                    Finding.error(
                        problem.check,
                        hosts[index].name or f"host {index + 1}",
                        problem.message,
                        problem.fix,
                        key=".".join(map(str, rest)),
                    )
                )
    if findings:
        raise FileError("the arguments do not describe hosts", findings=tuple(findings))


def _parse_label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise FileError(
            f"--label {text} has no value", fix=f"write --label {text}=VALUE (VALUE may be empty)"
        )
    return key, value


def parse_host_keys(options: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """`--host-key` by the host's name: `KEY` if there is one host, `NAME=KEY` if there are several.

    KEY is `type base64`, or the fingerprint `SHA256:...`. Raises FileError.
    """
    keys = {}
    for option in options:
        name, equals, key = option.partition("=")
        if not equals or name not in names:
            name, key = (names[0], option) if len(names) == 1 else ("", "")
        if not name:
            fix = f"write --host-key '{names[0]}=ssh-ed25519 AAAA...'"
            raise FileError(f"--host-key {option[:60]} does not say for which of {', '.join(names)}", fix=fix)
        keys[name] = " ".join(key.split()[:2])
    return keys


def move_host(cluster: Cluster, host: Host, destination: Destination | None) -> Host:
    """The host at another destination; unchanged if there is none."""
    if destination is None:
        return host
    user = None if destination.user in {None, cluster.ssh.user} else destination.user
    return host.model_copy(update={"address": destination.address, "port": destination.port, "user": user})
