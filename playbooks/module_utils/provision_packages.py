"""Which packages are there because of us, by dpkg's own records, and their removal."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible.module_utils.provision_apt import dpkg, finish_interrupted
from ansible.module_utils.provision_dpkg import fields_of, is_there, status_of
from ansible.module_utils.provision_host import Changes, Run, read, run

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ansible.module_utils.provision_record import Record

_AUTOMATIC = Path("var/lib/apt/extended_states")
_TOPIC = "packages"


class Package(NamedTuple):
    """What dpkg knows of a package that is installed, wholly or in parts."""

    held: bool
    needs: frozenset[str]  # names in Depends and Pre-Depends, of alternatives all
    provides: frozenset[str]


def known(root: Path) -> dict[str, Package]:
    """Every package that is installed, wholly or in parts."""
    found = {}
    for paragraph in status_of(root).split("\n\n"):
        fields = fields_of(paragraph)
        if is_there(fields):
            needs = _names(fields.get("Depends", "")) | _names(fields.get("Pre-Depends", ""))
            provides = _names(fields.get("Provides", ""))
            found[fields["Package"]] = Package(fields["Status"].startswith("hold "), needs, provides)
    return found


def note_before(name: str, packages: Iterable[str], record: Record, root: Path) -> None:
    """Remember what is installed before `packages` are, under the name of their repository.

    Those that are asked for later than others of that repository get an entry of their own, `<name>:<packages>`.
    """
    noted = record.noted(_TOPIC)
    new = sorted(
        set(packages).difference(*(was["packages"] for key, was in noted.items() if _is_of(key, name)))
    )
    if not new:
        return
    before = known(root)
    was = {
        "packages": new,
        "installed": sorted(before),
        "held": [package for package in new if package in before and before[package].held],
    }
    record.note(_TOPIC, f"{name}:{'+'.join(new)}" if name in noted else name, was)


def ours(record: Record, root: Path, repository: str = "") -> list[str]:
    """Packages that came with ours, or with those of one repository, and that nothing else needs, sorted."""
    now = known(root)
    chosen: set[str] = set()
    asked_for: set[str] = set()
    for name, was in record.noted(_TOPIC).items():
        if repository and not _is_of(name, repository):
            continue
        chosen |= _closure(was["packages"], now) - set(was["installed"])
        asked_for |= set(was["packages"])
    automatic = set(re.findall(r"^Package: (.+)$", read(root / _AUTOMATIC) or "", re.MULTILINE))
    chosen &= asked_for | automatic  # a dependency that was installed by hand since then stays
    while needed := {name for name in chosen if _is_needed(name, now, chosen)}:
        chosen -= needed
    return sorted(chosen)


def _is_of(key: str, repository: str) -> bool:
    return key.partition(":")[0] == repository


def leaving(record: Record, root: Path) -> frozenset[str]:
    """Packages of this tool that are gone after `remove`: they came with it, and nothing that stays needs them."""
    came = {
        name for was in record.noted(_TOPIC).values() for name in set(was["packages"]) - set(was["installed"])
    }
    return frozenset(came - (known(root).keys() - set(ours(record, root))))


def to_release(record: Record, root: Path) -> list[str]:
    """Packages that were there before us and that we have put on hold."""
    now = known(root)
    return sorted(
        name
        for was in record.noted(_TOPIC).values()
        for name in was["packages"]
        if name in was["installed"] and name not in was["held"] and name in now and now[name].held
    )


def remove(
    changes: Changes,
    record: Record,
    *,
    root: Path,
    run: Run = run,
    repository: str = "",
    kept: Iterable[str] = (),
) -> None:
    """Purge the packages that are there because of us, or of one repository; release the holds on others.

    `kept` are packages of ours that stay, with what they need.
    """
    stays = _closure(kept, known(root))
    names = [name for name in ours(record, root, repository) if name not in stays]
    if names:

        def effect() -> None:
            finish_interrupted(root, run=run)
            # Not apt: it would remove what depends on them as well, and dpkg refuses to.
            dpkg("--force-confold", "--purge", *names, run=run)
            for name in names:
                for archive in (root / "var/cache/apt/archives").glob(f"{name}_*.deb"):
                    archive.unlink()

        changes.make(f"removed the packages {', '.join(names)}", effect)
    released = [] if repository else to_release(record, root)
    if released:
        selections = "".join(f"{name} install\n" for name in released)
        changes.make(
            f"released the hold on {', '.join(released)}",
            lambda: dpkg("--set-selections", stdin=selections, run=run),
        )


def _names(dependencies: str) -> frozenset[str]:
    """`libc6 (>= 2.34), a | b:any` -> libc6, a, b."""
    return frozenset(re.findall(r"(?:^|[,|])\s*([a-z0-9][a-z0-9.+-]+)", dependencies))


def _closure(packages: Iterable[str], now: Mapping[str, Package]) -> set[str]:
    found: set[str] = set()
    waiting = [name for name in packages if name in now]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [need for need in now[name].needs if need in now]
    return found


def _is_needed(name: str, now: Mapping[str, Package], leaving: set[str]) -> bool:
    """Whether a package that stays depends on it, or on what it provides."""
    names: set[Any] = {name, *now[name].provides}
    return any(names & package.needs for other, package in now.items() if other not in leaving)
