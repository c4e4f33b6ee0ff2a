"""Kernel parameters, set now and at every boot, and proof that no other file sets them back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ansible.module_utils.provision_host import Changes, HostError, read

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ansible.module_utils.provision_record import Record

# "zz": systemd-sysctl and `sysctl --system` read files by name, and Debian has 99-sysctl.conf.
OURS = Path("etc/sysctl.d/99-zz-provision.conf")
_DIRECTORIES = ("etc/sysctl.d", "run/sysctl.d", "usr/local/lib/sysctl.d", "usr/lib/sysctl.d", "lib/sysctl.d")


def hold_sysctls(root: Path, wanted: Mapping[str, str], changes: Changes, record: Record) -> None:
    """Write the file, set what differs, and read it back.

    Raises HostError for a parameter that the kernel does not have, and for a file that is read after ours and
    says otherwise: the value would be lost at the next boot.
    """
    _refuse_reverting(root, wanted)
    lines = [f"{name} = {value}\n" for name, value in sorted(wanted.items())]
    content = "# Written by provision.\n" + "".join(lines)
    names = ", ".join(sorted(wanted))
    changes.file(root / OURS, content, sentence=f"made sysctls permanent in /{OURS}: {names}")
    for name, value in sorted(wanted.items()):
        _set(root, name, value, changes, record)


def _set(root: Path, name: str, value: str, changes: Changes, record: Record) -> None:
    path = root / "proc/sys" / name.replace(".", "/")
    now = _normal(read(path) or "")
    if now == _normal(value):
        return
    if not path.exists() and not changes.dry:
        raise HostError(f"the kernel has no parameter {name}: is its module loaded?")

    def effect() -> None:
        record.note("sysctls", name, now)
        path.write_text(value + "\n", encoding="utf-8")
        after = _normal(read(path) or "")
        if after != _normal(value):
            raise HostError(f"sysctl {name} is {after} although {value} was written")

    sentence = f"set sysctl {name}={value} (was {now or 'unset'})"
    changes.make(sentence, effect, before=f"{now}\n", after=f"{value}\n")


def _refuse_reverting(root: Path, wanted: Mapping[str, str]) -> None:
    for path in _read_after_ours(root):
        for number, line in enumerate((read(path) or "").splitlines(), start=1):
            name, separator, value = line.partition("=")
            name = name.strip().lstrip("-").replace("/", ".")
            if separator and name in wanted and _normal(value) != _normal(wanted[name]):
                where = f"/{path.relative_to(root)}:{number}"
                raise HostError(
                    f"{where} sets {name} to {value.strip()} and is read after ours, "
                    f"but {wanted[name]} is needed: delete that line",
                    lines=[f"{where}: {line}"],
                )


def _read_after_ours(root: Path) -> Iterator[Path]:
    """Files that override ours: those of later names, and sysctl.conf, which `sysctl --system` reads last."""
    seen = set()
    for directory in _DIRECTORIES:
        for path in sorted((root / directory).glob("*.conf")):
            if path.name > OURS.name and path.name not in seen:
                seen.add(path.name)  # a file hides those of the same name in later directories
                yield path
    yield root / "etc/sysctl.conf"


def _normal(value: str) -> str:
    return " ".join(value.split())
