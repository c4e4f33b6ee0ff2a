"""Debian's packages as dpkg's own files describe them: versions, holds, interrupted work, locks."""

from __future__ import annotations

from ansible.module_utils.provision_files import lock_holder, names, text_of

TYPE_CHECKING = False  # importing `typing` costs 20 ms on a small machine
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ansible.module_utils.provision_files import Root

_GONE = ("not-installed", "config-files", "")
_HALF = ("unpacked", "half-configured", "half-installed")
_LOCKS = ("/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock", "/var/lib/apt/lists/lock")


def status_of(root: Root) -> str:
    """The record of all packages, a paragraph each; about 1 MB on a server."""
    return text_of(f"{root}/var/lib/dpkg/status")


def fields_of(paragraph: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in paragraph.splitlines() if ": " in line and line[0] != " ")


def is_there(fields: dict[str, str]) -> bool:
    """Whether a package is installed, wholly or in parts."""
    return fields.get("Status", "").rpartition(" ")[2] not in _GONE


def database(root: Root, wanted: Iterable[str]) -> dict[str, object]:
    """The facts of dpkg: `packages`, and `package_database`, how fit it is for a change."""
    status = status_of(root)
    state = {"broken": interrupted(root, status), "locked_by": locked_by(root)}
    return {"packages": packages(status, wanted), "package_database": state}


def packages(status: str, wanted: Iterable[str]) -> dict[str, dict[str, object]]:
    """Version, hold and completeness of those of `wanted` that are installed, wholly or in parts."""
    found: dict[str, dict[str, object]] = {}
    for name in wanted:
        at = ("\n" + status).find(f"\nPackage: {name}\n")
        fields = fields_of(status[at:].partition("\n\n")[0]) if at >= 0 else {}
        if is_there(fields):
            found[name] = {
                "version": fields.get("Version", ""),
                "held": fields["Status"].startswith("hold "),
                "whole": fields["Status"].endswith(" installed"),
            }
    return found


def interrupted(root: Root, status: str) -> list[str]:
    """Packages that an interrupted dpkg left half-configured; ["?"] if it left only its journal."""
    broken = []
    for word in _HALF:
        at = status.find(f" {word}\n")
        while at >= 0:
            start = status.rfind("Package: ", 0, at)
            broken.append(status[start + 9 : status.find("\n", start)])
            at = status.find(f" {word}\n", at + 1)
    has_journal = any(name.isdigit() for name in names(f"{root}/var/lib/dpkg/updates"))
    return broken or ["?"] * has_journal


def locked_by(root: Root) -> str:
    """The program that holds dpkg's or apt's lock, or ""."""
    return lock_holder(root, _LOCKS)
