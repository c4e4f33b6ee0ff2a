"""A record of how the host was before we changed it, so that a reset can put it back."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.module_utils.provision_files import MARK
from ansible.module_utils.provision_host import atomic_write, read

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Record:
    """`/var/lib/provision/before/<name>.json`; what was noted first stays, whatever later runs see."""

    def __init__(self, name: str, *, root: Path = Path("/")) -> None:
        self.directory = root / "var/lib/provision/before"
        self._path = self.directory / f"{name}.json"

    def noted(self, topic: str) -> dict[str, Any]:
        """Everything that was noted of a topic, by key; {} where nothing was."""
        found: dict[str, Any] = json.loads(read(self._path) or "{}").get(topic, {})
        return found

    def note(self, topic: str, key: str, was: Any) -> None:
        """Remember that `key` of `topic` was `was` (None: was not there); on disk when this returns."""
        self.note_all(topic, {key: was})

    def note_all(self, topic: str, values: Mapping[str, Any]) -> None:
        """Remember several keys of a topic with one write; what was noted first stays."""
        self._merge(topic, lambda present: {**values, **present})

    def note_written(self, path: Path, text: str) -> None:
        """Remember what we wrote last, so that it is known again for ours."""
        self._merge("written", lambda present: {**present, str(path): digest(text)})

    def _merge(self, topic: str, merged_with: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Two steps may work on a host at the same time.
        descriptor = os.open(self.directory, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            all_topics: dict[str, dict[str, Any]] = json.loads(read(self._path) or "{}")
            present = all_topics.get(topic, {})
            merged = merged_with(present)
            if merged != present:
                all_topics[topic] = merged
                text = json.dumps(all_topics, indent=2, sort_keys=True) + "\n"
                atomic_write(self._path, text, mode=0o600)
        finally:
            os.close(descriptor)

    def note_path(self, path: Path) -> None:
        """Remember a file or link before it is changed, and which directories above it are not there yet.

        A file that begins with our mark was written by a version of us that kept no record: it was not there.
        """
        missing = [parent for parent in path.parents if not parent.exists()]
        if missing:
            self.note_all("directories", {str(parent): None for parent in missing})
        self.note("files", str(path), state(path))


def state(path: Path) -> dict[str, Any] | None:
    """A file as `text`, `mode` and `owner`, a link as `link`; None where there is neither."""
    if path.is_symlink():
        return {"link": str(path.readlink())}
    text = read(path)
    if text is None or text.startswith(MARK):
        return None
    status = path.stat()
    return {"text": text, "mode": stat.S_IMODE(status.st_mode), "owner": [status.st_uid, status.st_gid]}


def digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def listing(path: Path) -> list[str] | None:
    """Names in a directory, sorted; None where there is none."""
    try:
        return sorted(entry.name for entry in path.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return None
