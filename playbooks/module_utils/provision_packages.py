"""Which packages are there because of us, by the package manager's own records, and their removal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible.module_utils import provision_apt as apt, provision_dnf as dnf
from ansible.module_utils.provision_files import uses_rpm
from ansible.module_utils.provision_host import Changes, Run, run
from ansible.module_utils.provision_places import delete

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ansible.module_utils.provision_record import Record

_TOPIC = "packages"


class Package(NamedTuple):
    """What is known of a package that is installed, wholly or in parts."""

    held: bool
    needs: frozenset[str]  # names of packages that it depends on, of alternatives all
    provides: frozenset[str]


def manager(root: Path) -> Any:
    """The module that drives the package manager of this distribution."""
    return dnf if uses_rpm(root) else apt


def known(root: Path, run: Run = run) -> dict[str, Package]:
    """Every package that is installed, wholly or in parts."""
    return {name: Package(*found) for name, found in manager(root).known(root, run).items()}


def note_before(name: str, packages: Iterable[str], record: Record, root: Path, *, run: Run = run) -> None:
    """Remember what is installed before `packages` are, under the name of their repository.

    Those that are asked for later than others of that repository get an entry of their own, `<name>:<packages>`.
    """
    noted = record.noted(_TOPIC)
    new = sorted(
        set(packages).difference(*(was["packages"] for key, was in noted.items() if _is_of(key, name)))
    )
    if not new:
        return
    before = known(root, run)
    was = {
        "packages": new,
        "installed": sorted(before),
        "held": [package for package in new if package in before and before[package].held],
    }
    record.note(_TOPIC, f"{name}:{'+'.join(new)}" if name in noted else name, was)


def ours(
    record: Record, root: Path, repository: str = "", now: Mapping[str, Package] | None = None
) -> list[str]:
    """Packages that came with ours, or with those of one repository, and that nothing else needs, sorted.

    `now` is every package that is installed, which takes rpm a second to list.
    """
    now = known(root) if now is None else now
    chosen: set[str] = set()
    asked_for: set[str] = set()
    for name, was in record.noted(_TOPIC).items():
        if repository and not _is_of(name, repository):
            continue
        chosen |= _closure(was["packages"], now) - set(was["installed"])
        asked_for |= set(was["packages"])
    came_along = chosen - asked_for
    if came_along:  # what was installed by hand since then stays
        chosen -= came_along - manager(root).automatic(came_along, root=root, run=run)
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
    now = known(root)
    return frozenset(came - (now.keys() - set(ours(record, root, now=now))))


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
    now = known(root)
    stays = _closure(kept, now)
    names = [name for name in ours(record, root, repository, now) if name not in stays]
    if names:
        changes.make(
            f"removed the packages {', '.join(names)}",
            lambda: manager(root).erase(names, root=root, run=run),
        )
    if uses_rpm(root):
        _remove_traces(changes, record, root, run, repository)
    released = [] if repository else to_release(record, root)
    if released:
        changes.make(
            f"released the hold on {', '.join(released)}",
            lambda: manager(root).release(released, run=run),
        )


def _remove_traces(changes: Changes, record: Record, root: Path, run: Run, repository: str) -> None:
    """What rpm and dnf keep of removed packages: configuration that we wrote, indexes, and keys at the end."""
    written = [
        Path(f"{name}{suffix}") for name in record.noted("written") for suffix in (".rpmsave", ".rpmnew")
    ]
    for path in [path for path in written if path.is_file()]:
        changes.make(f"removed {path}", path.unlink)
    cached = dnf.caches(repository or "*", root)
    if cached:
        changes.make("removed indexes of package repositories", lambda: [delete(path) for path in cached])
    if not repository:
        dnf.forget_keys(changes, record, root=root, run=run)


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
