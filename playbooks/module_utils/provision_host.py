"""Change a host, run programs on it, and write files atomically, for Ansible modules.

`Changes.make` is the only way to an effect, so check mode and diff mode cannot be forgotten: a dry run
describes exactly what a real one does.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible.module_utils.provision_errors import HostError, redact

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ansible.module_utils.provision_record import Record

RUN_DIRECTORY = Path("/run/provision")  # locks and secret files: 0700, gone after a reboot
STATE_DIRECTORY = Path("/var/lib/provision")  # markers and the record of what was before: survives a reboot
BLOCK_BEGIN, BLOCK_END = (
    "# BEGIN provision\n",
    "# END provision\n",
)  # around lines in a file of the host's own
_LABEL = "security.selinux"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Completed(NamedTuple):
    """A program that ended."""

    argv: tuple[str, ...]
    status: int
    out: str
    err: str

    def last_lines(self, count: int = 12) -> list[str]:
        """The last non-empty lines of what it wrote, errors last."""
        return [line for line in (self.out + "\n" + self.err).splitlines() if line.strip()][-count:]


Run = Callable[..., Completed]  # `run`, or what stands for it in a test


class Changes:
    """Collects what was changed, or would be in a dry run, as sentences and diffs."""

    def __init__(self, *, dry: bool = False, record: Record | None = None) -> None:
        self.dry = dry
        self.record = record  # of what files were before
        self.sentences: list[str] = []
        self.diffs: list[dict[str, str]] = []

    def make(
        self,
        sentence: str,
        effect: Callable[[], object],
        *,
        path: str = "",
        before: str = "",
        after: str = "",
    ) -> None:
        """Do `effect`, unless dry, and remember `sentence` ("turned swap off: /swapfile")."""
        if not self.dry:
            effect()
        self.sentences.append(sentence)
        if before != after:
            header = path or sentence
            self.diffs.append(
                {"before": before, "after": after, "before_header": header, "after_header": header}
            )

    def file(
        self,
        path: Path,
        content: str,
        *,
        sentence: str = "",
        mode: int | None = None,
        owner: tuple[int, int] | None = None,
    ) -> bool:
        """Make `path` hold exactly `content`; true if it did not already.

        Without `mode` and `owner` (user and group id) an existing file keeps its own, a new one is 0644.
        """
        before = read(path)
        if before is not None:
            status = path.stat()
            mode = stat.S_IMODE(status.st_mode) if mode is None else mode
            owner = owner or (status.st_uid, status.st_gid)
            if before == content and (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (
                mode,
                *owner,
            ):
                return False
        mode = 0o644 if mode is None else mode

        def effect() -> None:
            self.remember(path)
            atomic_write(path, content, mode=mode, owner=owner)
            if self.record is not None:
                self.record.note_written(path, content)

        self.make(
            sentence or f"wrote {path}",
            effect,
            path=str(path),
            before=before or "",
            after=content,
        )
        return True

    def remember(self, path: Path) -> None:
        """Note how `path` is before it is changed, where a record is kept."""
        if self.record is not None:
            self.record.note_path(path)

    def result(self) -> dict[str, Any]:
        """The part of a result that all modules share."""
        return {"changed": bool(self.sentences), "changes": self.sentences, "diff": self.diffs}


def read(path: Path) -> str | None:
    """The text of a file, or None where there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except (FileNotFoundError, NotADirectoryError):
        return None


def atomic_write(
    path: Path, content: str | bytes, *, mode: int = 0o644, owner: tuple[int, int] | None = None
) -> None:
    """Replace a file in one step: after a loss of power either the old or the new content is there."""
    data = content if isinstance(content, bytes) else content.encode("utf-8", errors="surrogateescape")
    path.parent.mkdir(parents=True, exist_ok=True)
    label = _label(path)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            if label:
                os.setxattr(handle, _LABEL, label)
            os.fchmod(handle, mode)
            if owner is not None:
                os.fchown(handle, *owner)
            file.write(data)
            file.flush()
            os.fsync(handle)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise


def _label(path: Path) -> bytes:
    """SELinux's label of a file, which a new file in the same directory does not always get; empty without one."""
    try:
        return os.getxattr(path, _LABEL)
    except OSError:
        return b""


def run(
    argv: Sequence[str],
    *,
    timeout: float = 60,
    stdin: str = "",
    environment: Mapping[str, str] | None = None,
    keep_open: Sequence[int] = (),
    check: bool = True,
) -> Completed:
    """Run a program to its end, in the C locale. `keep_open` are descriptors that it inherits.

    Raises HostError if it cannot be started, outlives `timeout` seconds, or (`check`) fails.
    """
    try:
        done = subprocess.run(
            list(argv),
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
            pass_fds=tuple(keep_open),
            env={**os.environ, "LC_ALL": "C", "PATH": PATH, **(environment or {})},
        )
    except OSError as error:
        raise HostError(f"cannot run {argv[0]}: {error.strerror}", command=argv) from error
    except subprocess.TimeoutExpired as error:
        raise HostError(f"{argv[0]} did not end within {timeout:.0f} s", command=argv) from error
    completed = Completed(tuple(argv), done.returncode, done.stdout, done.stderr)
    if check and completed.status != 0:
        lines = completed.last_lines()
        reason = redact(lines[-1].strip()) if lines else "it wrote nothing"
        raise HostError(
            f"{Path(argv[0]).name} ended with status {completed.status}: {reason}", command=argv, lines=lines
        )
    return completed


def unlocked(argv: Sequence[str], sign: str, patience: float, run: Run = run, **options: Any) -> Completed:
    """Run a command again while its errors have the `sign` of another program's lock, for `patience` seconds."""
    deadline = time.monotonic() + patience
    while True:
        done: Completed = run(argv, check=False, **options)
        if done.status == 0 or sign not in done.err or time.monotonic() > deadline:
            return done
        time.sleep(2)


@contextlib.contextmanager
def secret_file(name: str, content: str, *, directory: Path = RUN_DIRECTORY) -> Iterator[Path]:
    """A 0600 file in memory-backed `directory`, deleted on every exit."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / name
    atomic_write(path, content, mode=0o600)
    try:
        yield path
    finally:
        path.unlink()


def user_entry(name: str) -> pwd.struct_passwd:
    """The entry of a user in the host's database; HostError if there is none."""
    try:
        return pwd.getpwnam(name)
    except KeyError as error:
        raise HostError(f"there is no user {name} on this host") from error


def without_block(text: str) -> str:
    """A file's text without the lines from BLOCK_BEGIN to BLOCK_END; as it is if it does not have both."""
    before, _, rest = text.partition(BLOCK_BEGIN)
    _, ended, after = rest.partition(BLOCK_END)
    return before + after if ended else text


def with_block(path: Path, lines: str) -> str:
    """The text of `path` with `lines` between BLOCK_BEGIN and BLOCK_END; the rest of the file stays as it is."""
    text = read(path) or ""
    before, _, rest = text.partition(BLOCK_BEGIN)
    _, ended, after = rest.partition(BLOCK_END)
    if rest and not ended:
        begin, end = BLOCK_BEGIN.strip(), BLOCK_END.strip()
        raise HostError(f"{path} has '{begin}' without '{end}': delete that block")
    if before and not before.endswith("\n"):
        before += "\n"
    return f"{before}{BLOCK_BEGIN}{lines.rstrip()}\n{BLOCK_END}{after}"
