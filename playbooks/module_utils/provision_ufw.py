"""Open ufw by its own rules, marked by their comment; those that the host had already stay the host's."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.module_utils.provision_host import (
    BLOCK_BEGIN,
    BLOCK_END,
    PATH,
    Changes,
    HostError,
    Run,
    read,
    without_block,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Rule = tuple[
        str, str, str, str, str
    ]  # "" or "route", protocol, ports, destination, source; "any" for every one

_COMMENT = "provision"
_RULES = ("etc/ufw/user.rules", "etc/ufw/user6.rules")
_BEFORE = "etc/ufw/before.rules"
# ufw cannot write rules of a protocol alone that it does not know; these are of IPv4.
_TUPLE = re.compile(r"### tuple ### (route:)?allow (\S+) (\S+) (\S+) any (\S+) in(?: comment=(\S+))?")
_ANYWHERE = ("0.0.0.0/0", "::/0", "any")


def open_rules(wanted: Mapping[str, Any], changes: Changes, *, root: Path, run: Run) -> dict[str, list[str]]:
    """Add the rules that are missing and delete ours that are no longer wanted; our lines by file."""
    rules = list(dict.fromkeys(_wanted(wanted)))
    present = _present(root)
    for rule in [rule for rule, ours in present.items() if ours and rule not in rules]:
        _delete(rule, changes, run)
    for rule in reversed([rule for rule in rules if rule not in present]):
        words = ["ufw", *_kind(rule), "prepend", "allow", *_words(rule), "comment", _COMMENT]
        changes.make(f"ufw: opened {_shown(rule)}", lambda words=words: run(words))
    protocols = "".join(f"{line}\n" for line in _protocol_lines(wanted))
    _write_before(protocols, changes, root, run)
    mark = f"comment={_COMMENT.encode().hex()}"
    lines = {f"/{path}": [line for line in _lines(root, path) if line.endswith(mark)] for path in _RULES}
    if protocols:
        lines[f"/{_BEFORE}"] = protocols.splitlines()
    return lines


def remove_rules(changes: Changes, *, root: Path, run: Run) -> None:
    """Delete every rule with our comment and our block of protocols."""
    if shutil.which("ufw", path=PATH) is None:
        return
    for rule, ours in _present(root).items():
        if ours:
            _delete(rule, changes, run)
    _write_before("", changes, root, run)


def _wanted(wanted: Mapping[str, Any]) -> Iterator[Rule]:
    ports: dict[tuple[str, str], list[str]] = {}
    for opening in wanted["input"]:
        for source in opening["from"] if opening["ports"] else ():
            ports.setdefault((opening["protocol"], source), []).extend(opening["ports"])
    for (protocol, source), found in ports.items():
        # As ufw itself orders and writes them.
        ordered = sorted({one.replace("-", ":") for one in found}, key=lambda one: int(one.partition(":")[0]))
        yield "", protocol, ",".join(ordered), _anywhere(source), source
    pods = wanted["pods"]
    yield "route", "any", "any", "0.0.0.0/0", pods
    for source in (*wanted["members"], *wanted["node_ports_from"]):
        if ":" not in source:
            yield "route", "any", "any", pods, source


def _anywhere(source: str) -> str:
    return "::/0" if ":" in source else "0.0.0.0/0"


def _present(root: Path) -> dict[Rule, bool]:
    """Rules that allow, and whether they are ours."""
    found: dict[Rule, bool] = {}
    for path in _RULES:
        for line in _lines(root, path):
            match = _TUPLE.fullmatch(line)
            if match:
                kind = "route" if match[1] else ""
                ours = bytes.fromhex(match[6] or "").decode(errors="replace") == _COMMENT
                found[kind, match[2], match[3], match[4], match[5]] = ours
    return found


def _lines(root: Path, path: str) -> list[str]:
    return (read(root / path) or "").splitlines()


def _delete(rule: Rule, changes: Changes, run: Run) -> None:
    words = ["ufw", "--force", *_kind(rule), "delete", "allow", *_words(rule)]
    changes.make(f"ufw: closed {_shown(rule)}", lambda: run(words))


def _kind(rule: Rule) -> list[str]:
    return ["route"] if rule[0] else []


def _words(rule: Rule) -> list[str]:
    _, protocol, ports, destination, source = rule
    words = ["proto", protocol] if protocol != "any" else []
    words += ["from", source]
    if ports != "any":
        words += ["to", destination if destination not in _ANYWHERE else "any", "port", ports]
    elif destination not in _ANYWHERE:
        words += ["to", destination]
    return words


def _shown(rule: Rule) -> str:
    kind, protocol, ports, destination, source = rule
    if kind:
        return f"the way from {source} to {destination}"
    return f"{ports}/{protocol} for {source}"


def _protocol_lines(wanted: Mapping[str, Any]) -> Iterator[str]:
    for opening in wanted["input"]:
        for source in opening["from"] if not opening["ports"] else ():
            if ":" not in source:
                yield f"-A ufw-before-input -s {source} -p {opening['protocol']} -j ACCEPT"


def _write_before(lines: str, changes: Changes, root: Path, run: Run) -> None:
    """Keep our block of rules by protocol at the end of the table `filter` in before.rules."""
    path = root / _BEFORE
    text = read(path)
    if text is None:
        return
    clean = without_block(text)
    if lines:
        head, table, body = clean.partition("*filter\n")
        rules, commit, tail = body.partition("COMMIT\n")
        if not table or not commit:
            raise HostError(f"/{_BEFORE} has no table filter that ends with COMMIT")
        clean = f"{head}{table}{rules}{BLOCK_BEGIN}{lines}{BLOCK_END}{commit}{tail}"
    if changes.file(path, clean, sentence=f"wrote the rules by protocol in /{_BEFORE}"):
        changes.make("ufw: reloaded", lambda: run(["ufw", "reload"]))
