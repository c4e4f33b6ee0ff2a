"""A file that is written whole or not at all."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path


def atomic_write(path: Path, content: bytes, *, like: os.stat_result | None = None) -> None:
    """Put `content` at `path` in one step: whoever reads it sees the old file or the new one, also after a crash.

    The file gets mode, and where we may owner, of `like`; 0600 and ours without. Raises OSError; nothing is left then.
    """
    handle, fresh = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            if like is not None:
                with suppress(PermissionError):  # of another owner, in a directory that we may write to
                    os.fchown(handle, like.st_uid, like.st_gid)
                os.fchmod(handle, stat.S_IMODE(like.st_mode))
            os.fsync(handle)
        Path(fresh).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(fresh).unlink()
        raise
