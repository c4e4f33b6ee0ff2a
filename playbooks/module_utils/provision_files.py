"""Read files of a host where a missing or unreadable one is a fact and not a failure.

`root` of every reader is the directory below which the host's files lie: "" or `/` for the host itself.
"""

from __future__ import annotations

import fcntl
import os
import struct

TYPE_CHECKING = False  # importing `typing` costs 20 ms on a small machine
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    Root = str | Path

MARK = "# Written by provision."  # first line of every file that belongs to this tool
_RPM_SYSTEMS = ("rhel", "fedora", "centos", "openeuler", "kylin")
_FLOCK = "hhqqi"  # struct flock of 64-bit Linux: type, whence, start, length, pid


def text_of(path: Root) -> str:
    """The text of a file; "" if it is missing or unreadable."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def names(directory: Root, suffix: str = "") -> list[str]:
    """Sorted names in a directory that end with `suffix`; [] without the directory."""
    try:
        return sorted(name for name in os.listdir(directory) if name.endswith(suffix))
    except OSError:
        return []


def layered(root: Root, directories: Sequence[str], suffix: str) -> list[str]:
    """Paths of drop-in files in systemd's order: by name; an earlier directory hides the same name in a later one."""
    found: dict[str, str] = {}
    for directory in directories:
        for name in names(f"{root}{directory}", suffix):
            found.setdefault(name, f"{root}{directory}/{name}")
    return [found[name] for name in sorted(found)]


def host_path(root: Root, path: str) -> str:
    """The path as the host itself knows it, without `root`."""
    return path[len(str(root)) :]


def assignments(text: str) -> dict[str, str]:
    """`NAME="value"` lines, as in os-release and unit files; the last one of a name counts."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {name.strip(): value.strip().strip("\"'") for name, _, value in pairs}


def os_release(root: Root) -> dict[str, str]:
    return assignments(text_of(f"{root}/etc/os-release"))


def uses_rpm(root: Root) -> bool:
    """Whether the distribution's packages are rpm's, by os-release: either program may be installed elsewhere too."""
    release = os_release(root)
    systems = f"{release.get('ID', '')} {release.get('ID_LIKE', '')}".lower().split()
    return "debian" not in systems and any(name in _RPM_SYSTEMS for name in systems)


def lock_holder(root: Root, paths: Sequence[str]) -> str:
    """The program that holds one of these POSIX locks, or ""; asking does not take the lock."""
    for path in paths:
        try:
            with open(f"{root}{path}", "rb+") as file:
                asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
                kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, asked))
        except OSError:
            continue
        if kind != fcntl.F_UNLCK:
            process = text_of(f"{root}/proc/{pid}/comm").strip() or "a process"
            return f"{process} (pid {pid})"
    return ""


def yaml_values(text: str, key: str) -> Iterator[str]:
    """Values of the lines `key: value` of a YAML text that kubeadm wrote (kubeconfig, manifest), unquoted."""
    for line in text.splitlines():
        words = line.strip(" -")
        if words.startswith(f"{key}: "):
            yield words[len(key) + 2 :].strip().strip("\"'")


def yaml_value(text: str, key: str) -> str:
    """The first of `yaml_values`; "" without one."""
    return next(yaml_values(text, key), "")
