"""A first cluster file from the words of a command line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from provision.config.places import findings_at
from provision.config.problem import Key, Problem, key_text, shown
from provision.config.rules import problems_of_values
from provision.config.text import cluster_text, write_new
from provision.errors import FileError
from provision.model.cluster import Cluster, Host, Role, Ssh, VirtualAddress
from provision.model.units import parse_ip, split_host_port
from provision.versions import versions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_HOST = re.compile(r"(?:(?P<user>[^@=]+)@)?(?P<place>[^@=]+)(?:=(?P<name>[^@=]+))?")
_PREFIXES: dict[Role, str] = {"control-plane": "cp", "worker": "w"}
_FLAGS: dict[Key, str] = {
    ("name",): "--name",
    ("kubernetes",): "--kubernetes",
    ("endpoint",): "--endpoint",
    ("endpoint", "vip"): "--endpoint",
    ("ssh", "key"): "--ssh-key",
    ("ssh", "bastion"): "--bastion",
    ("hosts",): "--control-plane",
}


def cluster_from_arguments(
    *,
    name: str,
    control_planes: Sequence[str],
    workers: Sequence[str] = (),
    kubernetes: str | None = None,
    endpoint: str | None = None,
    ssh_key: str | None = None,
    bastion: str | None = None,
) -> Cluster:
    """Return the cluster that flags ask for; hosts are `[user@]host[:port][=name]`, IPv6 in brackets with a port.

    Hosts without a name are called cp1, cp2, ... and w1, w2, ...; `kubernetes` None is this release's default.
    `endpoint` may also be `vip:ADDRESS`.
    Raises FileError with a finding per argument that is wrong.
    """
    words: list[tuple[Role, str]] = [("control-plane", text) for text in control_planes]
    words += [("worker", text) for text in workers]
    hosts = tuple(_hosts(words))
    users = {host.user for host in hosts}
    common = users.pop() if len(users) == 1 else None
    if common:
        hosts = tuple(host.model_copy(update={"user": None}) for host in hosts)
    word, _, vip = (endpoint or "").partition(":")  # a host may be called vip, too: vip:6443
    cluster = Cluster(
        name=name,
        kubernetes=kubernetes or versions().kubernetes.default,
        endpoint=VirtualAddress(vip=vip) if word == "vip" and not vip.isdecimal() else endpoint,
        ssh=Ssh(user=common, key=ssh_key, bastion=bastion),
        hosts=hosts,
    )
    problems = [
        problem for problem in problems_of_values(cluster.model_dump()) if problem.severity == "error"
    ]
    _raise_for(problems, words)
    return cluster


def write_cluster_file(path: Path, cluster: Cluster) -> None:
    """Write a commented file for a cluster; raises FileError, and changes nothing, if `path` is there already."""
    write_new(path, cluster_text(cluster))


def _hosts(words: Sequence[tuple[Role, str]]) -> Iterator[Host]:
    """Read every host argument; what cannot be taken apart is refused, what is in it is judged by the rules."""
    found = [_HOST.fullmatch(text) for _, text in words]
    _raise_for([_unreadable(index, words[index]) for index, match in enumerate(found) if not match], words)
    taken = {match["name"] for match in found if match}
    for match, (role, _) in zip(found, words, strict=True):
        if not match:  # unreachable: refused above
            continue
        name = match["name"] or next(
            free for number in count(1) if (free := f"{_PREFIXES[role]}{number}") not in taken
        )
        taken.add(name)
        place = match["place"]
        parts = None if parse_ip(place) else split_host_port(place)
        address, port = parts or (place, 0)
        yield Host(name=name, address=address, role=role, port=port or 22, user=match["user"])


def _unreadable(index: int, word: tuple[Role, str]) -> Problem:
    message = f"{shown(word[1])} is not [user@]host[:port][=name]"
    return Problem(
        key=("hosts", index), check="host-argument", message=message, fix="for example ubuntu@10.0.0.11=cp1"
    )


@dataclass(frozen=True, slots=True)
class _Arguments:
    """Names the flag, and for a host the word behind it, that a value came from."""

    words: Sequence[tuple[Role, str]]

    def line(self, _problem: Problem) -> int:
        return 0

    def named(self, problem: Problem) -> tuple[str, str]:
        key = problem.key
        if len(key) > 1 and isinstance(key[1], int):
            role, text = self.words[key[1]]
            return f"--{role} {text}", key_text(key[2:])
        if key == ("ssh", "user"):  # common to all hosts: name the first
            return f"--{self.words[0][0]} {self.words[0][1]}", "user"
        return _FLAGS.get(key, "arguments"), ""


def _raise_for(problems: Sequence[Problem], words: Sequence[tuple[Role, str]]) -> None:
    if problems:
        findings = findings_at(problems, _Arguments(words))
        raise FileError("the arguments do not describe a cluster", findings=findings)
