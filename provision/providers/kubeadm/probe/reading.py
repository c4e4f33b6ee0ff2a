"""Reading small files on a host, where a missing or unreadable one is an answer and not a failure."""

from __future__ import annotations

import os


def read(path: str) -> str:
    """The text of a file; "" where there is none that we may read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def names(directory: str, suffix: str = "") -> list[str]:
    """Sorted names in a directory that end with `suffix`; [] where there is no such directory."""
    try:
        return sorted(name for name in os.listdir(directory) if name.endswith(suffix))
    except OSError:
        return []


def layered(root: str, directories: tuple[str, ...], suffix: str) -> list[str]:
    """Paths of drop-in files as systemd reads them: by name, an earlier directory hides a later one's."""
    found: dict[str, str] = {}
    for directory in directories:
        for name in names(root + directory, suffix):
            found.setdefault(name, root + directory + "/" + name)
    return [found[name] for name in sorted(found)]
