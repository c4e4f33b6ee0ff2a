"""Things that take minutes to build, kept by the hash of what they are made of, outside the checkout.

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

Progress = Callable[[str], None]  # progress for people, one line at a time
Build = Callable[[Path], None]  # fills the directory it is given

_SEAL = ".seal.json"
_KEY_DIGITS = 16


def cache_root() -> Path:
    """`$PROVISION_CACHE`, or `provision` below `$XDG_CACHE_HOME` (`~/.cache`)."""
    named = os.environ.get("PROVISION_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "provision"


def digest_of(*inputs: str | bytes | Path) -> str:
    """Key of an entry: sha256 over texts, bytes and the names and contents of files or whole directories."""
    digest = hashlib.sha256()
    for item in inputs:
        for name, content in _parts(item):
            digest.update(f"{len(name)} {len(content)} ".encode() + name.encode() + content)
    return digest.hexdigest()[:_KEY_DIGITS]


def entry(kind: str, key: str, build: Build, *, title: str, progress: Progress) -> Path:
    """The directory of that entry, built by `build` if it is missing or damaged.

    Two processes that want the same entry build it once. `title` ("kubernetes 1.36.3") is told with the seconds
    it took. Whatever `build` raises is passed on, and nothing is kept.
    """
    place = cache_root() / kind / key
    place.parent.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(place, title, progress):
        if place.exists():
            if is_sound(place):
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
    """A new directory beside `place`, under a name of its own: programs of a builder that was killed may still write.

    What killed builders left is removed, as far as nobody writes there right now.
    """
    for left in place.parent.glob(f"{place.name}.new-*"):
        shutil.rmtree(left, ignore_errors=True)
    fresh = Path(tempfile.mkdtemp(prefix=f"{place.name}.new-", dir=place.parent))
    fresh.chmod(0o755)  # apt's own user reads in some
    return fresh


def is_sound(place: Path) -> bool:
    """Whether the entry holds exactly the files that were sealed, with their contents."""
    try:
        sealed: dict[str, list[object]] = json.loads((place / _SEAL).read_text())
    except (FileNotFoundError, ValueError):
        return False
    present = {str(path.relative_to(place)): path for path in _files(place)}
    if present.keys() != sealed.keys():
        return False
    return all(_matches(path, sealed[name]) for name, path in present.items())


def _matches(path: Path, sealed: list[object]) -> bool:
    """Same size and time, or same size and content: a copy restored from a CI cache has new times."""
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
    """Every regular file below `place` save the seal itself; links are part of nothing that we seal."""
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
def one_at_a_time(place: Path, title: str, progress: Progress) -> Iterator[None]:
    """Keep other processes that want the same until the end of the block; the lock is a file beside `place`."""
    with place.with_name(f"{place.name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress(f"{title}: another process is at it, waiting")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
