"""Atomic writes of files."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path


def atomic_write(path: Path, content: bytes, *, like: os.stat_result | None = None) -> None:
    """Replace the file at `path` in one step: readers see the old or the new content, also after a crash.

    The new file has the mode, and if permitted the owner, of `like`, or mode 0600 without it. On an OSError there is
    no temporary file left.
    """
    handle, fresh = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            if like is not None:
                with suppress(PermissionError):  # the file has another owner, in a writable directory
                    os.fchown(handle, like.st_uid, like.st_gid)
                os.fchmod(handle, stat.S_IMODE(like.st_mode))
            os.fsync(handle)
        Path(fresh).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(fresh).unlink()
        raise
