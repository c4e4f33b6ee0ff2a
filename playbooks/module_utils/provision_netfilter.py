"""Which firewall a host has: firewalld, ufw, or chains of nftables that drop by default, those of iptables among them.

The kernel is asked by netlink: no program is started, and no kernel module is loaded where none is.
"""

from __future__ import annotations

import binascii
import json
import os
import struct

from ansible.module_utils.provision_files import assignments, text_of

TYPE_CHECKING = False  # importing `typing` costs 20 ms on a small machine
if TYPE_CHECKING:
    from collections.abc import Iterator

    # Family, table and name of a chain of nftables, its hook ("" for another, or none) and whether its policy drops.
    Chain = tuple[str, str, str, str, bool]

NOTE = "/var/lib/provision/firewall.json"  # what is open, written by the module host_firewall
PREFIX = "provision-"  # of the names of our chains, policies and sets
IPTABLES_PREFIX = "PROVISION-"
_FIREWALLD = "firewalld"
_KUBERNETES = ("kube-proxy", "calico")  # tables that are none of the host's own
_SHARED = ("DOCKER", "KUBE-", "cali-")
_FAMILIES = {1: "inet", 2: "ip", 10: "ip6"}
_HOOKS = {1: "input", 2: "forward", 3: "output"}
_MOST_JUMPS = 8
# linux/netlink.h, linux/netfilter/nfnetlink.h and nf_tables.h
_NETFILTER, _DUMP, _ERROR, _DONE = 12, 0x301, 2, 3
_GET_CHAIN, _GET_RULE = 10 << 8 | 4, 10 << 8 | 7
_TABLE, _CHAIN_NAME, _HOOK, _POLICY, _RULE_CHAIN, _EXPRESSIONS = 1, 3, 4, 5, 2, 4
_DROP, _JUMPS = 0, (0xFFFFFFFD, 0xFFFFFFFC)
_HEADER, _TYPE = 20, 0x3FFF
_SBIN = ("/usr/sbin/", "/sbin/", "/usr/bin/")


def firewall(root: str) -> dict[str, object]:
    """Firewalls that are active, what of ours is noted as open there, and who is connected by SSH."""
    chains = nft_chains(root)
    active, conf = firewalld(root, chains)
    uses_ufw = ufw(root)
    noted = _noted(root)
    found = dropping(chains, ufw=uses_ufw)
    missing = [
        f"its chain {' '.join(key)}"
        for key, (hook, opened) in found.items()
        if not opened and hook != "output"
    ]
    if active and not any(PREFIX in chain[2] for chain in chains if chain[1] == _FIREWALLD):
        missing.append(_FIREWALLD)
    return {
        "firewalld": {"active": active, **conf},
        "ufw": uses_ufw,
        "chains": [
            {"name": " ".join(key), "hook": hook, "opened": opened} for key, (hook, opened) in found.items()
        ],
        "legacy": "filter" in text_of(root + "/proc/net/ip_tables_names").split(),
        "programs": [name for name in ("nft", "iptables") if _exists(root, name)],
        "client": _client(root),
        "noted": noted.get("wanted"),
        "lost": missing + _lost(root, noted),
        "wireguard": os.path.isdir(root + "/sys/class/net/wireguard.cali"),
    }


def firewalld(root: str, chains: list[Chain]) -> tuple[bool, dict[str, object]]:
    """Whether it runs, and its settings that decide whether it can be opened."""
    conf = assignments(text_of(root + "/etc/firewalld/firewalld.conf"))
    group = "/sys/fs/cgroup/system.slice/firewalld.service/cgroup.procs"
    active = any(chain[1] == _FIREWALLD for chain in chains) or bool(text_of(root + group).strip())
    backend = conf.get("FirewallBackend", "nftables")
    return active, {"backend": backend, "lockdown": conf.get("Lockdown", "no") in ("yes", "true")}


def ufw(root: str) -> bool:
    return assignments(text_of(root + "/etc/ufw/ufw.conf")).get("ENABLED", "no").lower() == "yes"


def dropping(chains: list[Chain], *, ufw: bool) -> dict[tuple[str, str, str], tuple[str, bool]]:
    """Chains of the host's own that drop what nothing accepts: their hooks, and whether ours is asked there first.

    Those of firewalld and of ufw are theirs, those of Kubernetes no firewall of the host.
    """
    found: dict[tuple[str, str, str], tuple[str, bool]] = {}
    for family, table, name, hook, drops in chains:
        managed = table in (_FIREWALLD, *_KUBERNETES) or (ufw and family != "inet" and table == "filter")
        if not hook or managed:
            continue
        rules = [*_rules(family, table, name)]
        opened = any(chain.startswith((PREFIX, IPTABLES_PREFIX)) for _, _, chain in rules)
        # Docker lets its own chain of iptables drop, and so that of kube-proxy and Calico, which accept there.
        shared = hook == "forward" and any(chain.startswith(_SHARED) for _, _, chain in rules)
        if (opened or not shared) and (drops or _ends_in_drop(family, table, rules)):
            found[family, table, name] = (hook, opened)
    return found


def _ends_in_drop(family: str, table: str, rules: list[tuple[bool, int, str]], depth: int = 0) -> bool:
    """Whether a rule without any condition drops or rejects, or jumps to a chain that does."""
    for always, verdict, chain in rules:
        if always and verdict == _DROP:
            return True
        if (
            always
            and verdict in _JUMPS
            and depth < _MOST_JUMPS
            and not chain.startswith((PREFIX, IPTABLES_PREFIX, *_SHARED))
            and _ends_in_drop(family, table, [*_rules(family, table, chain)], depth + 1)
        ):
            return True
    return False


def nft_chains(root: str) -> list[Chain]:
    """Every chain of the families inet, ip and ip6; those with a hook have it by name."""
    found: list[Chain] = []
    if not _has_nftables(root):
        return found
    for family, attributes in _dump(_GET_CHAIN, 0, b""):
        values = dict(_attributes(attributes))
        hook = dict(_attributes(values.get(_HOOK, b""))).get(1)
        number = struct.unpack(">I", hook)[0] if hook else 0
        drops = struct.unpack(">I", values.get(_POLICY, b"\0\0\0\1"))[0] == _DROP
        if family in _FAMILIES:
            name = (_text(values[_TABLE]), _text(values[_CHAIN_NAME]))
            found.append((_FAMILIES[family], *name, _HOOKS.get(number, ""), drops))
    return found


def _has_nftables(root: str) -> bool:
    """Whether the kernel has nf_tables in use; asking one without it would load the module."""
    if os.path.isdir(root + "/sys/module/nf_tables") or not os.path.exists(root + "/proc/modules"):
        return True
    built_in = text_of(f"{root}/lib/modules/{os.uname().release}/modules.builtin")
    return "/nf_tables.ko" in built_in


def _rules(family: str, table: str, chain: str) -> Iterator[tuple[bool, int, str]]:
    """Of each rule of a chain: whether it has no condition, its verdict (-1: none or another), where it jumps to."""
    number = next(key for key, name in _FAMILIES.items() if name == family)
    wanted = _attribute(_TABLE, table.encode() + b"\0") + _attribute(_RULE_CHAIN, chain.encode() + b"\0")
    for _, attributes in _dump(_GET_RULE, number, wanted):
        always, verdict, target = True, -1, ""
        for _, expression in _attributes(dict(_attributes(attributes)).get(_EXPRESSIONS, b"")):
            parts = dict(_attributes(expression))
            name, data = _text(parts.get(1, b"")), dict(_attributes(parts.get(2, b"")))
            label = _text(data.get(1, b"")) if name in ("match", "target") else ""
            if name == "reject" or label in ("REJECT", "DROP"):
                verdict = _DROP
            elif name == "immediate":
                inner = dict(_attributes(dict(_attributes(data.get(2, b""))).get(2, b"")))
                verdict = struct.unpack(">I", inner[1])[0] if 1 in inner else -1
                target = _text(inner.get(2, b""))
            elif name not in ("counter", "log") and label not in ("comment", "LOG"):
                always = False
        yield always, verdict, target


def _dump(kind: int, family: int, wanted: bytes) -> Iterator[tuple[int, bytes]]:
    """Family and attributes of every object of a kind; nothing where the kernel refuses to answer."""
    from _socket import SOCK_RAW, socket  # noqa: PLC0415 - `import socket` costs 10 ms on a small machine

    try:
        connection = socket(16, SOCK_RAW, _NETFILTER)
    except OSError:
        return
    try:
        request = struct.pack("=IHHIIBBH", _HEADER + len(wanted), kind, _DUMP, 1, 0, family, 0, 0) + wanted
        connection.send(request)
        while True:
            data = connection.recv(1 << 20)
            while data:
                length, what = struct.unpack_from("=IH", data)
                if what in (_DONE, _ERROR) or not length:
                    return
                yield data[16], data[_HEADER:length]
                data = data[length + 3 & ~3 :]
    finally:
        connection.close()


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) > 3:  # noqa: PLR2004 - its own length and type
        length, kind = struct.unpack_from("=HH", data)
        if not length:
            return
        yield kind & _TYPE, data[4:length]
        data = data[length + 3 & ~3 :]


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def _text(value: bytes) -> str:
    return value.split(b"\0")[0].decode("ascii", "replace")


def _noted(root: str) -> dict[str, dict[str, object]]:
    try:
        found = json.loads(text_of(root + NOTE) or "{}")
    except ValueError:  # opened again then
        return {}
    return found if isinstance(found, dict) else {}


def _lost(root: str, noted: dict[str, dict[str, object]]) -> list[str]:
    """Files and lines of ours that are not there as they were written."""
    files = [path for path, sum_ in noted.get("files", {}).items() if checksum(text_of(root + path)) != sum_]
    lines = [
        path
        for path, wanted in noted.get("lines", {}).items()
        if isinstance(wanted, list) and not set(wanted) <= set(text_of(root + path).splitlines())
    ]
    return files + lines


def checksum(text: str) -> int:
    """Of a file's text: finds that it was changed, by chance or by hand."""
    return binascii.crc32(text.encode(errors="replace"))


def _exists(root: str, program: str) -> bool:
    return any(os.path.exists(root + place + program) for place in _SBIN)


def _client(root: str) -> str:
    """The address that this SSH connection comes from, by the environment of an ancestor: sudo removes it from ours."""
    pid = os.getpid()
    for _ in range(_MOST_JUMPS):
        for entry in text_of(f"{root}/proc/{pid}/environ").split("\0"):
            if entry.startswith("SSH_CONNECTION="):
                return entry.partition("=")[2].partition(" ")[0].partition("%")[0]
        fields = text_of(f"{root}/proc/{pid}/stat").rpartition(")")[2].split()
        pid = int(fields[1]) if len(fields) > 1 else 0
        if not pid:
            break
    return ""
