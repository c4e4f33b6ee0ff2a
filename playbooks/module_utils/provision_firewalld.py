"""Open firewalld by two policies and sets of our own, which are asked before its zones and leave those as they are.

A reload is needed to make or remove them, and firewalld's then flushes all rules of iptables, those of kube-proxy,
Calico and Docker among them: they are put back at once. Members that come and go need none.
"""

from __future__ import annotations

import re
import shutil
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import quoteattr

from ansible.module_utils.provision_host import PATH, Changes, HostError, Run, read
from ansible.module_utils.provision_netfilter import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_DIRECTORY = "etc/firewalld"
_HEAD = '<?xml version="1.0" encoding="utf-8"?>\n<!-- Written by provision. -->\n'
# Before the policies and zones that a host has by default; those of a user come with priority -1.
_POLICY = '<policy priority="-500" target="CONTINUE">\n  <ingress-zone name="ANY"/>\n  <egress-zone name="{egress}"/>\n'
_RELOAD_SECONDS = 240
_GROUPS = ("members", "control_planes")
_INTERFACES = "interfaces:"  # bound again after a reload
_PROGRAMS = ("iptables-nft", "ip6tables-nft", "iptables-legacy", "ip6tables-legacy")


def open_policies(wanted: Mapping[str, Any], changes: Changes, *, root: Path, run: Run) -> dict[str, str]:
    """Write policies and sets, and make them effective; the files by their paths below the root."""
    files = dict(_files(wanted))
    stale = [path for path in _ours(root) if path not in files]
    differing = [path for path, text in files.items() if read(root / path) != text]
    if not (differing or stale) and _is_loaded(run):
        return files
    only_members = not stale and all("/ipsets/" in path and read(root / path) for path in differing)
    if only_members and differing and _is_loaded(run):
        _change_members(files, differing, changes, root, run)
        return files
    _refuse_runtime_only(run)
    for path in differing:
        changes.file(root / path, files[path])
    for path in stale:
        changes.make(f"removed /{path}", (root / path).unlink)
    _reload(changes, run, "firewalld: opened for the members of the cluster")
    return files


def remove_policies(changes: Changes, *, root: Path, run: Run) -> None:
    ours = _ours(root)
    for path in ours:
        changes.make(f"removed /{path}", (root / path).unlink, path=path, before=read(root / path) or "")
    if ours and shutil.which("firewall-cmd", path=PATH) and _is_loaded(run):
        _reload(changes, run, "firewalld: closed again")


def _files(wanted: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for group in _GROUPS:
        for version, entries in _by_version(wanted[group]).items():
            family = '  <option name="family" value="inet6"/>\n' if version == "ipv6" else ""
            lines = "".join(f"  <entry>{one}</entry>\n" for one in entries)
            text = f'{_HEAD}<ipset type="hash:net">\n{family}{lines}</ipset>\n'
            yield f"{_DIRECTORY}/ipsets/{_set(group, version)}.xml", text
    inputs = [
        _rule(version, source, element)
        for opening in wanted["input"]
        for version, source in _sources(wanted, opening["from"], opening["group"])
        for element in _elements(opening)
    ]
    pods, to_pods = wanted["pods"], f"<destination address={quoteattr(wanted['pods'])}/>"
    forward = [_rule("ipv4", f"address={quoteattr(pods)}", "")]
    forward += [
        _rule(version, source, to_pods)
        for version, source in (
            *_sources(wanted, wanted["members"], "members"),
            *_sources(wanted, wanted["node_ports_from"], ""),
        )
        if version == "ipv4"
    ]
    for name, egress, rules in (("input", "HOST", inputs), ("forward", "ANY", forward)):
        text = f"{_HEAD}{_POLICY.format(egress=egress)}{''.join(rules)}</policy>\n"
        yield f"{_DIRECTORY}/policies/{PREFIX}{name}.xml", text


def _sources(wanted: Mapping[str, Any], sources: Sequence[str], group: str) -> Iterator[tuple[str, str]]:
    """Attributes of `<source>` by version of IP: the set for a whole group, an address for each other."""
    hosts = wanted[group] if group else []
    whole = bool(hosts) and set(hosts) <= set(sources)
    for version in _by_version(hosts) if whole else ():
        yield version, f'ipset="{_set(group, version)}"'
    for source in sources:
        if not whole or source not in hosts:
            yield "ipv6" if ":" in source else "ipv4", f"address={quoteattr(source)}"


def _by_version(sources: Sequence[str]) -> dict[str, list[str]]:
    found = {
        "ipv4": [one for one in sources if ":" not in one],
        "ipv6": [one for one in sources if ":" in one],
    }
    return {version: ones for version, ones in found.items() if ones}


def _set(group: str, version: str) -> str:
    return f"{PREFIX}{group.replace('_', '-')}{'6' if version == 'ipv6' else ''}"


def _rule(version: str, source: str, element: str) -> str:
    return f'  <rule family="{version}"><source {source}/>{element}<accept/></rule>\n'


def _elements(opening: Mapping[str, Any]) -> Iterator[str]:
    if not opening["ports"]:
        yield f'<protocol value="{opening["protocol"]}"/>'
    for port in opening["ports"]:
        yield f'<port port="{port}" protocol="{opening["protocol"]}"/>'


def _ours(root: Path) -> list[str]:
    found = (root / _DIRECTORY).glob(f"*/{PREFIX}*.xml")
    return sorted(str(path.relative_to(root)) for path in found)


def _is_loaded(run: Run) -> bool:
    done = run(["firewall-cmd", "--get-policies"], check=False, timeout=_RELOAD_SECONDS)
    return f"{PREFIX}input" in done.out.split()


def _change_members(
    files: Mapping[str, str], differing: Sequence[str], changes: Changes, root: Path, run: Run
) -> None:
    """Change sets as they are in use and in their files, without a reload."""
    for path in differing:
        had, now = set(_entries(read(root / path) or "")), set(_entries(files[path]))
        for verb, entries in (("add", now - had), ("remove", had - now)):
            words = [f"--{verb}-entry={one}" for one in sorted(entries)]
            argv = ["firewall-cmd", f"--ipset={Path(path).stem}", *words]
            if words:
                effect = partial(run, argv, timeout=_RELOAD_SECONDS)
                changes.make(f"firewalld: {' '.join(words)}", effect)
        changes.file(root / path, files[path])


def _entries(text: str) -> list[str]:
    return re.findall(r"<entry>(.*?)</entry>", text)


def _refuse_runtime_only(run: Run) -> None:
    """A reload drops what was set without --permanent, and that is not ours to drop."""
    now, later = set(_settings(run)), set(_settings(run, "--permanent"))
    lost = [f"zone {zone}: {line}" for zone, line in sorted(now - later) if not line.startswith(_INTERFACES)]
    if lost:
        raise HostError(
            f"firewalld has settings that are not permanent, which its reload would drop ({lost[0]}); keep them by "
            "`firewall-cmd --runtime-to-permanent`, or drop them by `firewall-cmd --reload`",
            lines=lost,
        )


def _settings(run: Run, *options: str) -> Iterator[tuple[str, str]]:
    """Zone and line of every setting of every zone."""
    zone = ""
    argv = ["firewall-cmd", *options, "--list-all-zones"]
    for line in run(argv, timeout=_RELOAD_SECONDS).out.splitlines():
        if line[:1].strip():
            zone = line.split()[0]
        elif line.strip():
            yield zone, line.strip()


def _bound(run: Run) -> set[tuple[str, str]]:
    """Zone and interface, also where that is not permanent."""
    found = [(zone, line.split()[1:]) for zone, line in _settings(run) if line.startswith(_INTERFACES)]
    return {(zone, interface) for zone, interfaces in found for interface in interfaces}


def _reload(changes: Changes, run: Run, sentence: str) -> None:
    def effect() -> None:
        saved = {name: _saved(name, run) for name in _PROGRAMS if shutil.which(f"{name}-save", path=PATH)}
        bound = _bound(run)
        _complete_reload(run)
        for zone, interface in sorted(bound - _bound(run)):
            run(
                ["firewall-cmd", f"--zone={zone}", f"--change-interface={interface}"], timeout=_RELOAD_SECONDS
            )
        for name, text in saved.items():
            if "-A " in text and _saved(name, run) != text:
                run([f"{name}-restore", "--wait=30", "--counters"], stdin=text)

    changes.make(sentence, effect)


def _complete_reload(run: Run) -> None:
    """On a busy host a reload may take longer than firewall-cmd waits for an answer: wait for the next one, then."""
    argv, deadline = ["firewall-cmd", "--reload"], time.monotonic() + _RELOAD_SECONDS
    done = run(argv, timeout=_RELOAD_SECONDS, check=False)
    if done.status and "reply" not in done.err:
        raise HostError("firewalld does not reload", command=argv, lines=done.last_lines())
    while done.status:
        if time.monotonic() > deadline:
            raise HostError(f"firewalld does not answer within {_RELOAD_SECONDS} s", command=argv)
        done = run(["firewall-cmd", "--state"], timeout=_RELOAD_SECONDS, check=False)


def _saved(name: str, run: Run) -> str:
    """The rules without the comments that hold the time."""
    lines = run([f"{name}-save", "--counters"], check=False).out.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("#"))
