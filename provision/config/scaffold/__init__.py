"""Write new cluster files, with comments, from the arguments of a command line."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from provision.config.yaml.syntax import file_error

if TYPE_CHECKING:
    from pathlib import Path


def write_new(path: Path, text: str) -> None:
    """Write a new file. Raises FileError, and changes nothing, if `path` exists."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except FileExistsError as error:
        fix = "edit it, or name another file with -f"
        raise file_error(
            str(path), 0, "file-exists", f"{path} exists already and is left as it is", fix
        ) from error
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        fix = "name a file in a directory that you may write to"
        raise file_error(str(path), 0, "file", f"{path} cannot be written: {why}", fix) from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
