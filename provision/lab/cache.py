"""Build cache outside the checkout: each entry is a directory, keyed by the hash of its inputs.

An entry is a directory `<root>/<kind>/<key>`. It is filled under a temporary name, sealed with the digest of every
file, and renamed: a crash leaves no half entry. Before it is used its files are compared with the seal (sizes and
times always, contents where these differ), so a truncated or edited file is noticed and the entry is built again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Progress = Callable[[str], None]  # receives one line for people at a time
Build = Callable[[Path], None]  # fills the directory it is given

_SEAL = ".seal.json"
_KEY_DIGITS = 16


def cache_root() -> Path:
    """Return `$PROVISION_CACHE`, or `provision` below `$XDG_CACHE_HOME` (`~/.cache`)."""
    named = os.environ.get("PROVISION_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "provision"


def compute_key(*inputs: str | bytes | Path) -> str:
    """Return the key of an entry: sha256 over texts, bytes and the names and contents of files or whole directories."""
    digest = hashlib.sha256()
    for item in inputs:
        for name, content in _parts(item):
            digest.update(f"{len(name)} {len(content)} ".encode() + name.encode() + content)
    return digest.hexdigest()[:_KEY_DIGITS]


def get_or_build(kind: str, key: str, build: Build, *, title: str, progress: Progress) -> Path:
    """Return the directory of the entry, filled by `build` if it is missing or damaged.

    Concurrent processes build an entry once. `title` ("kubernetes 1.36.3") names it in progress lines. Exceptions of
    `build` are passed on, and nothing is kept.
    """
    place = cache_root() / kind / key
    place.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(place, title, progress):
        if place.exists():
            if is_intact(place):
                return place
            progress(f"{title}: the cached copy is damaged, it is built again")
            shutil.rmtree(place)
        progress(f"{title}: building")
        started = time.monotonic()
        fresh = _fresh(place)
        build(fresh)
        _seal(fresh)
        fresh.replace(place)
        progress(f"{title}: built in {time.monotonic() - started:.0f} s")
    return place


def _fresh(place: Path) -> Path:
    """Create a directory beside `place` with a unique name: programs of a killed builder may still write to theirs.

    Directories of killed builders are removed as far as possible.
    """
    for left in place.parent.glob(f"{place.name}.new-*"):
        shutil.rmtree(left, ignore_errors=True)
    fresh = Path(tempfile.mkdtemp(prefix=f"{place.name}.new-", dir=place.parent))
    fresh.chmod(0o755)  # apt's unprivileged user reads some
    return fresh


def is_intact(place: Path) -> bool:
    """Whether the entry holds exactly the sealed files with their contents."""
    try:
        sealed: dict[str, list[object]] = json.loads((place / _SEAL).read_text())
    except (FileNotFoundError, ValueError):
        return False
    present = {str(path.relative_to(place)): path for path in _files(place)}
    if present.keys() != sealed.keys():
        return False
    return all(_matches(path, sealed[name]) for name, path in present.items())


def _matches(path: Path, sealed: list[object]) -> bool:
    """Compare size and time, else size and content, with the seal: a restored CI cache has new times."""
    size, modified, content = sealed
    stat = path.stat()
    if stat.st_size != size:
        return False
    return stat.st_mtime_ns == modified or _sha256(path) == content


def _seal(place: Path) -> None:
    rows = {}
    for path in _files(place):
        stat = path.stat()
        rows[str(path.relative_to(place))] = [stat.st_size, stat.st_mtime_ns, _sha256(path)]
    seal = place / _SEAL
    with seal.open("w") as file:
        json.dump(rows, file)
        file.flush()
        os.fsync(file.fileno())


def _files(place: Path) -> Iterator[Path]:
    """Yield every regular file below `place` except the seal; symbolic links are not sealed."""
    for path in sorted(place.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.name != _SEAL:
            yield path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _parts(item: str | bytes | Path) -> Iterator[tuple[str, bytes]]:
    if isinstance(item, Path):
        if item.is_dir():
            for path in sorted(item.rglob("*")):
                if path.is_file():
                    yield str(path.relative_to(item)), path.read_bytes()
        else:
            yield item.name, item.read_bytes()
    else:
        yield "", item.encode() if isinstance(item, str) else item


@contextmanager
def exclusive(place: Path, title: str, progress: Progress) -> Iterator[None]:
    """Hold the lock of `place`, a file beside it, waiting for other processes that hold it."""
    with place.with_name(f"{place.name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress(f"{title}: waiting for another process")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
