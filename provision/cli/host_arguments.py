"""New hosts from the words of a command line, and which key each of them is trusted by."""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from provision.config.rules import problems_of_values
from provision.errors import FileError, InterruptedRunError, UnreachableError
from provision.model.cluster import Host, Role
from provision.model.plan import Finding
from provision.model.units import parse_ip, split_host_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from provision.model.cluster import Cluster
    from provision.ssh.host_keys import HostKey

_PLACE = re.compile(r"(?:(?P<user>[^@=\s]+)@)?(?P<place>[^@=\s]+)")
_SSH_PORT = 22
_EXAMPLE = "for example `provision node add w3 ubuntu@10.0.0.23`"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a host is: `[user@]address[:port]`, an IPv6 address in brackets if there is a port."""

    address: str
    port: int
    user: str | None

    def written(self) -> str:
        address = f"[{self.address}]" if ":" in self.address and self.port != _SSH_PORT else self.address
        port = f":{self.port}" if self.port != _SSH_PORT else ""
        return f"{self.user}@{address}{port}" if self.user else f"{address}{port}"


def place_of(text: str) -> Place:
    """Take `[user@]address[:port]` apart. Raises FileError if it is something else."""
    match = _PLACE.fullmatch(text)
    if match is None:
        raise FileError(f"{text!r} is not [user@]address[:port]", fix=_EXAMPLE)
    place = match["place"]
    parts = None if parse_ip(place) else split_host_port(place)
    address, port = parts or (place, _SSH_PORT)
    return Place(address, port, match["user"])


def pairs_of(words: Sequence[str]) -> dict[str, Place]:
    """`w3 ubuntu@10.0.0.23 w4 10.0.0.24` -> each name with its place. Raises FileError."""
    if not words or len(words) % 2:
        odd = f"{words[-1]} has no address" if words else "no host is named"
        raise FileError(f"{odd}; hosts are pairs of a name and [user@]address[:port]", fix=_EXAMPLE)
    names = list(words[::2])
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise FileError(f"{twice} is named twice", fix="name every host once")
    return {name: place_of(text) for name, text in zip(names, words[1::2], strict=True)}


def new_hosts(
    cluster: Cluster,
    places: Mapping[str, Place],
    *,
    role: Role | None,
    labels: Sequence[str],
    taints: Sequence[str],
) -> list[Host]:
    """The hosts that are asked for: those of the file where they are in it already, else new ones, without a key.

    `labels` are `key=value`. Raises FileError with everything that is wrong, or for a name or address that is taken.
    """
    marks = dict(_label(text) for text in labels)
    hosts = []
    for name, place in places.items():
        user = None if place.user == cluster.ssh.user else place.user
        host = Host(
            name=name,
            address=place.address,
            role=role or "worker",
            port=place.port,
            user=user,
            labels=marks,
            taints=tuple(taints),
        )
        present = next((other for other in cluster.hosts if other.name == name), None)
        if present is not None:
            _refuse_another(present, host, place, role=role, marked=bool(marks or taints))
        hosts.append(present or host)
    _refuse_wrong([host for host in hosts if host not in cluster.hosts])
    for host in hosts:
        other = next(
            (one for one in cluster.hosts if one.address == host.address and one.name != host.name), None
        )
        if other is not None:
            raise FileError(
                f"{host.name}: {host.address} is the address of {other.name}", fix="write each machine once"
            )
    return hosts


def _refuse_another(present: Host, host: Host, place: Place, *, role: Role | None, marked: bool) -> None:
    """A host that is in the file is gone on with, but it is not changed by the way."""
    if (present.address, present.port) != (host.address, host.port):
        raise FileError(
            f"{host.name} is in the file at {present.address}, not at {host.address}",
            fix=f"a new machine under the old name: provision node replace {host.name} {place.written()}",
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


def _refuse_wrong(hosts: Sequence[Host]) -> None:
    data = {"hosts": tuple(host.model_dump(exclude_none=True) for host in hosts)}
    findings = []
    for problem in problems_of_values(data):
        match problem.key:
            case ("hosts", int(index), *rest) if problem.severity == "error":
                key = ".".join(map(str, rest))
                findings.append(
                    Finding(
                        severity="error",
                        check=problem.check,
                        where=hosts[index].name or f"host {index + 1}",
                        key=key,
                        message=problem.message,
                        fix=problem.fix,
                    )
                )
    if findings:
        raise FileError("the arguments do not describe hosts", findings=tuple(findings))


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise FileError(
            f"--label {text} has no value", fix=f"write --label {text}=VALUE (VALUE may be empty)"
        )
    return key, value


def given_keys(words: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """`--host-key` by the host's name: `KEY` where there is one host, `NAME=KEY` where there are several.

    KEY is `type base64`, or the fingerprint `SHA256:...`. Raises FileError.
    """
    keys = {}
    for word in words:
        name, equals, key = word.partition("=")
        if not equals or name not in names:
            name, key = (names[0], word) if len(names) == 1 else ("", "")
        if not name:
            fix = f"write --host-key '{names[0]}=ssh-ed25519 AAAA...'"
            raise FileError(f"--host-key {word[:60]} does not say for which of {', '.join(names)}", fix=fix)
        keys[name] = " ".join(key.split()[:2])
    return keys


def trusted(
    cluster: Cluster, hosts: Sequence[Host], given: Mapping[str, str], *, command: Sequence[str], ask: bool
) -> list[Host]:
    """The hosts, each with its key pinned: given, known to known_hosts, or shown to somebody who says yes.

    `command` is what to type, without `--host-key`; `ask`: somebody is there. Raises UnreachableError with each
    fingerprint and the command if nobody is, InterruptedRunError after a no.
    """
    from provision.ssh.host_keys import host_keys

    pinned = {name: key for name, key in given.items() if not key.startswith("SHA256:")}
    hosts = [_with_key(host, pinned.get(host.name)) for host in hosts]
    open_ = [host for host in hosts if host.host_key is None]
    if not open_:
        return hosts
    shown = host_keys(cluster, open_)
    failed = [found for found in shown.values() if isinstance(found, Finding)]
    if failed:
        raise UnreachableError(f"{len(failed)} hosts cannot be reached", findings=tuple(failed))
    keys = {name: found for name, found in shown.items() if not isinstance(found, Finding)}
    wrong = [*_others(keys, given)]
    if wrong:
        raise UnreachableError("a host shows another key than the one given", findings=tuple(wrong))
    unknown = {name: key for name, key in keys.items() if not key.known and name not in given}
    if unknown and not ask:
        raise UnreachableError(
            "host keys are unknown",
            findings=tuple(_unknown(unknown, {host.name: host for host in hosts}, command)),
        )
    places = {host.name: f"{host.address}:{host.port}" for host in hosts}
    for name, key in unknown.items():
        print(
            f"{name} ({places[name]}) shows the host key {key.line.partition(' ')[0]} {key.fingerprint}",
            file=sys.stderr,
        )
    if unknown:
        print(
            "  `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on the machine's own console must print the same",
            file=sys.stderr,
        )
        if not typer.confirm("is that right, and to be pinned in the file?", err=True):
            raise InterruptedRunError("nothing was changed")
    return [_with_key(host, keys[host.name].line) if host.name in keys else host for host in hosts]


def moved(cluster: Cluster, host: Host, place: Place | None) -> Host:
    """The host at another place; at its old one if there is none."""
    if place is None:
        return host
    user = None if place.user in {None, cluster.ssh.user} else place.user
    return host.model_copy(update={"address": place.address, "port": place.port, "user": user})


def replaced_key(
    cluster: Cluster, old: Host, new: Host, given: Mapping[str, str], *, command: Sequence[str], ask: bool
) -> Host:
    """The new machine with its key: the one that was pinned if it shows that, or else as `trusted` says."""
    from provision.ssh.host_keys import host_keys

    bare = new.model_copy(update={"host_key": None})
    if old.host_key and not given:
        shown = host_keys(cluster, [bare])[new.name]
        pinned = " ".join(old.host_key.split()[:2])
        if not isinstance(shown, Finding) and shown.line == pinned:
            return new
    return trusted(cluster, [bare], given, command=command, ask=ask)[0]


def _with_key(host: Host, key: str | None) -> Host:
    return host.model_copy(update={"host_key": key}) if key else host


def _others(keys: Mapping[str, HostKey], given: Mapping[str, str]) -> Iterator[Finding]:
    """Hosts whose key has not the fingerprint that was given."""
    for name, key in keys.items():
        wanted = given.get(name, "")
        if wanted.startswith("SHA256:") and wanted != key.fingerprint:
            yield Finding(
                severity="error",
                check="ssh-host-key-changed",
                where=name,
                message=f"its host key is {key.fingerprint}, but --host-key says {wanted}",
                fix="compare with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on the machine's own console",
            )


def _unknown(
    keys: Mapping[str, HostKey], hosts: Mapping[str, Host], command: Sequence[str]
) -> Iterator[Finding]:
    options = [
        word
        for name, key in keys.items()
        for word in ("--host-key", key.line if len(hosts) == 1 else f"{name}={key.line}")
    ]
    for name, key in keys.items():
        host = hosts[name]
        yield Finding(
            severity="error",
            check="ssh-host-key-unknown",
            where=name,
            message=f"{host.address}:{host.port}: its host key {key.fingerprint} is not known, "
            "and nobody is there to say that it is right",
            fix="if `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on the machine prints the same: "
            + shlex.join([*command, *options]),
        )
