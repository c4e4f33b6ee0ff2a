"""Open the host's firewalls for the members of a cluster, and close them again; none is ever switched off.

nftables and iptables: a chain of ours in every table whose own chain drops by default, and a rule at the head of that
chain which asks ours first. An `accept` in a table of our own would not do: the packet still meets the other chain.
A unit puts both back when the services that load the host's rules have flushed them.
"""

from __future__ import annotations

import ipaddress
import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.module_utils import provision_firewalld as firewalld, provision_ufw as ufw
from ansible.module_utils.provision_files import MARK
from ansible.module_utils.provision_host import PATH, Changes, HostError, Run, read, run
from ansible.module_utils.provision_netfilter import (
    IPTABLES_PREFIX,
    NOTE,
    PREFIX,
    checksum,
    dropping,
    firewalld as firewalld_facts,
    nft_chains,
    ufw as uses_ufw,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    Key = tuple[str, str, str]  # family, table and name of a chain
    Chains = Mapping[Key, tuple[str, bool]]  # the hook of each, and whether ours is asked in it

_SCRIPT, _UNIT = "usr/local/sbin/provision-firewall", "provision-firewall.service"
# What loads the rules of a host, on Debian and on the RHEL family.
_LOADERS = "nftables.service netfilter-persistent.service iptables.service ip6tables.service"
_HEADS = re.compile(r"^(?:nft|ip)_chain .* <<END$", re.MULTILINE)  # one per chain, in our script
_VERSIONS = {"inet": (4, 6), "ip": (4,), "ip6": (6,)}  # of IP, by the families of nftables
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_SERVICE = f"""\
{MARK}
[Unit]
Description=Firewall openings for the members of the Kubernetes cluster
After={_LOADERS}
PartOf={_LOADERS}
ReloadPropagatedFrom={_LOADERS}
Before=kubelet.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/provision-firewall
ExecReload=/usr/local/sbin/provision-firewall

[Install]
WantedBy=multi-user.target {_LOADERS}
"""
_HEAD = """\
#!/bin/sh
# Written by provision: opens this host's own chains that drop by default for the members of its Kubernetes cluster.
set -eu
export LC_ALL=C PATH=/usr/sbin:/sbin:/usr/bin:/bin

# nft_chain FAMILY TABLE CHAIN OURS: our chain holds the rules of the standard input and is asked first.
nft_chain() {
    nft list chain "$1" "$2" "$3" >/dev/null 2>&1 || return 0
    jump="insert rule $1 $2 $3 jump $4 comment \\"provision\\""
    if nft list chain "$1" "$2" "$3" | grep -q "jump $4 "; then jump=""; fi
    { echo "add chain $1 $2 $4"; echo "flush chain $1 $2 $4"; cat; echo "$jump"; } | nft -f -
}

# ip_chain PROGRAM CHAIN OURS: the same by iptables.
ip_chain() {
    "$1-restore" --wait=30 --noflush
    "$1" --wait -C "$2" -m comment --comment provision -j "$3" 2>/dev/null ||
        "$1" --wait -I "$2" 1 -m comment --comment provision -j "$3"
}
"""


def open_firewall(
    wanted: dict[str, Any],
    changes: Changes,
    *,
    root: Path = Path("/"),
    run: Run = run,
    chains: Callable[[Path], Chains] | None = None,
) -> None:
    """Open every firewall that is active on the host below `root` for what the module's parameters ask for."""
    place = str(root).rstrip("/")
    found = (chains or host_chains)(root)
    files: dict[str, str] = {}
    lines: dict[str, list[str]] = {}
    if firewalld_facts(place, nft_chains(place))[0]:
        files |= firewalld.open_policies(wanted, changes, root=root, run=run)
    if uses_ufw(place):
        lines |= ufw.open_rules(wanted, changes, root=root, run=run)
    if found:
        files |= _open_chains(wanted, found, changes, root=root, run=run)
    else:
        _close_chains(changes, root=root, run=run)
    note = {
        "wanted": wanted,
        "files": {f"/{path}": checksum(text) for path, text in files.items()},
        "lines": lines,
    }
    text = json.dumps(note, indent=2, sort_keys=True) + "\n"
    changes.file(root / NOTE[1:], text, sentence="noted what is open in the firewall", mode=0o600)


def close_firewall(changes: Changes, *, root: Path = Path("/"), run: Run = run) -> None:
    """Take back everything that `open_firewall` has done."""
    firewalld.remove_policies(changes, root=root, run=run)
    ufw.remove_rules(changes, root=root, run=run)
    _close_chains(changes, root=root, run=run)


def host_chains(root: Path) -> Chains:
    """Chains of this host's own that drop by default; not those of output."""
    place = str(root).rstrip("/")
    found = dropping(nft_chains(place), ufw=uses_ufw(place))
    return {key: chain for key, chain in found.items() if chain[0] in ("input", "forward")}


def script(wanted: Mapping[str, Any], chains: Chains) -> str:
    """The program that opens these chains: run now, at boot, and after each reload of the host's rules."""
    parts = [_HEAD]
    for (family, table, name), (hook, _) in sorted(chains.items()):
        if not (_NAME.fullmatch(table) and _NAME.fullmatch(name)):
            raise HostError(f"the firewall's chain {family} {table} {name} has a name that cannot be handled")
        if table == "filter" and name.isupper() and family != "inet":
            ours, program = IPTABLES_PREFIX + name, {"ip": "iptables", "ip6": "ip6tables"}[family]
            rules = [f"-A {ours} {rule}" for rule in ip_rules(wanted, hook, family)]
            body = ["*filter", f":{ours} - [0:0]", *rules, "COMMIT"]
            parts.append("\n".join([f"ip_chain {program} {name} {ours} <<END", *body, "END\n"]))
        else:
            rules = [
                f"add rule {family} {table} {PREFIX}{hook} {rule}" for rule in nft_rules(wanted, hook, family)
            ]
            head = f"nft_chain {family} {table} {name} {PREFIX}{hook} <<END"
            parts.append("\n".join([head, *rules, "END\n"]))
    return "\n".join(parts)


def nft_rules(wanted: Mapping[str, Any], hook: str, family: str) -> Iterator[str]:
    """Rules in the syntax of nft for a chain of the family; pods have addresses of IPv4 only."""
    pods = wanted["pods"]
    if hook == "input":
        yield 'iifname "lo" accept'
        for opening in wanted["input"]:
            for version in _VERSIONS[family]:
                if sources := _of(version, opening["from"]):
                    yield f"{_nft_source(version, sources)} {_nft_protocol(opening)} accept"
    elif family != "ip6":
        yield f"ip saddr {pods} accept"
        yield f"ip daddr {pods} ct state established,related accept"
        for key, condition in (("members", ""), ("node_ports_from", "ct status dnat ")):
            if sources := _of(4, wanted[key]):
                yield f"ip daddr {pods} {_nft_source(4, sources)} {condition}accept"


def ip_rules(wanted: Mapping[str, Any], hook: str, family: str) -> Iterator[str]:
    """The same in the syntax of iptables, which has no sets."""
    pods = wanted["pods"]
    if hook == "input":
        yield "-i lo -j ACCEPT"
        for opening in wanted["input"]:
            for source in _of(*_VERSIONS[family], opening["from"]):
                yield f"-s {source} {_ip_protocol(opening)} -j ACCEPT"
    elif family == "ip":
        yield f"-s {pods} -j ACCEPT"
        yield f"-d {pods} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
        for key, condition in (("members", ""), ("node_ports_from", "-m conntrack --ctstatus DNAT ")):
            for source in _of(4, wanted[key]):
                yield f"-s {source} -d {pods} {condition}-j ACCEPT"


def _of(version: int, sources: Iterable[str]) -> list[str]:
    return [source for source in sources if ipaddress.ip_network(source, strict=False).version == version]


def _nft_source(version: int, sources: list[str]) -> str:
    name = {4: "ip", 6: "ip6"}[version]
    return f"{name} saddr {{ {', '.join(sources)} }}"


def _nft_protocol(opening: Mapping[str, Any]) -> str:
    if not opening["ports"]:
        return f"meta l4proto {opening['protocol']}"
    return f"{opening['protocol']} dport {{ {', '.join(opening['ports'])} }}"


def _ip_protocol(opening: Mapping[str, Any]) -> str:
    if not opening["ports"]:
        return f"-p {opening['protocol']}"
    ports = ",".join(ports.replace("-", ":") for ports in opening["ports"])
    return f"-p {opening['protocol']} -m multiport --dports {ports}"


def _open_chains(
    wanted: Mapping[str, Any], chains: Chains, changes: Changes, *, root: Path, run: Run
) -> dict[str, str]:
    text, before = script(wanted, chains), read(root / _SCRIPT) or ""
    for program in ("nft", "iptables", "ip6tables"):
        if _calls(text, program) and shutil.which(program, path=PATH) is None:
            raise HostError(f"the host's firewall drops by default, and there is no {program} to open it")
    files = {_SCRIPT: text, f"etc/systemd/system/{_UNIT}": _SERVICE}
    if not set(_HEADS.findall(before)) <= set(_HEADS.findall(text)):
        _close_chains(changes, root=root, run=run)
    written = [
        changes.file(root / path, content, mode=0o755 if path == _SCRIPT else 0o644)
        for path, content in files.items()
    ]
    if any(written) or not all(opened for _, opened in chains.values()):
        named = ", ".join(" ".join(key) for key in sorted(chains))
        changes.make(
            f"opened {named} for the members of the cluster", lambda: run(["/bin/sh", str(root / _SCRIPT)])
        )
        changes.make(f"enabled {_UNIT}", lambda: _enable(run))
    return files


def _enable(run: Run) -> None:
    run(["systemctl", "daemon-reload"])
    run(["systemctl", "enable", "--now", "--quiet", _UNIT])


def _calls(text: str, program: str) -> bool:
    return f"\n{'nft_chain' if program == 'nft' else f'ip_chain {program}'} " in text


def _close_chains(changes: Changes, *, root: Path, run: Run) -> None:
    """Remove our chains and what leads to them, and the unit that would put them back."""
    text, unit = read(root / _SCRIPT), root / "etc/systemd/system" / _UNIT
    if text is None:
        return
    if unit.exists():
        disable = ["systemctl", "disable", "--now", "--quiet", _UNIT]
        changes.make(f"disabled {_UNIT}", lambda: run(disable, check=False))
        changes.make(f"removed {unit}", unit.unlink, path=str(unit), before=read(unit) or "")
    if _calls(text, "nft"):
        _close_nft(changes, run)
    for program in ("iptables", "ip6tables"):
        if _calls(text, program):
            _close_iptables(program, changes, run)
    script = root / _SCRIPT
    changes.make(f"removed {script}", script.unlink, path=str(script), before=text)


def _close_nft(changes: Changes, run: Run) -> None:
    listed = run(["nft", "-a", "list", "ruleset"], check=False).out
    table = chain = ""
    jumps, ours = [], []
    for line in listed.splitlines():
        words = line.split()
        if words[:1] == ["table"]:
            table = " ".join(words[1:3])
        elif words[:1] == ["chain"]:
            chain = words[1]
            ours += [f"flush chain {table} {chain}\ndelete chain {table} {chain}"] * _is_our_chain(
                table, chain
            )
        elif re.search(rf"\bjump {PREFIX}(input|forward) ", line) and "# handle " in line:
            jumps.append(f"delete rule {table} {chain} handle {words[-1]}")
    commands = "\n".join([*jumps, *ours])
    if commands:
        changes.make(
            "closed the host's own chains again",
            lambda: run(["nft", "-f", "-"], stdin=f"{commands}\n"),
            before=listed,
        )


def _is_our_chain(table: str, chain: str) -> bool:
    return not table.endswith(" firewalld") and chain in (f"{PREFIX}input", f"{PREFIX}forward")


def _close_iptables(program: str, changes: Changes, run: Run) -> None:
    saved = run([f"{program}-save", "-t", "filter"], check=False)
    ours = re.findall(rf"^:({IPTABLES_PREFIX}\S+)", saved.out, re.MULTILINE)
    if saved.status != 0 or not ours:
        return
    jumps = re.findall(rf"^-A (.* -j {IPTABLES_PREFIX}\S+)$", saved.out, re.MULTILINE)
    lines = ["*filter", *(f"-D {rule}" for rule in jumps)]
    lines += [f"-F {name}" for name in ours] + [f"-X {name}" for name in ours]
    text = "\n".join([*lines, "COMMIT\n"])
    changes.make(
        f"removed our rules from {program}",
        lambda: run([f"{program}-restore", "--wait=30", "--noflush"], stdin=text),
        before=saved.out,
    )
