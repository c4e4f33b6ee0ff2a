"""Swap, turned off now and kept off: everything that could switch it on at the next boot is made harmless.

The sources are fstab, .swap units (written by hand, by systemd's GPT generator or by zram-generator) and the
services of a few swap packages. Each is found in files, without starting a program.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ansible.module_utils.provision_host import Changes, HostError, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ansible.module_utils.provision_record import Record

FSTAB_MARK = "# provision keeps swap off: "
ZRAM_MARK = "# Empty on purpose: provision keeps swap off.\n"
# Units of packages that make swap on their own: dphys-swapfile, zram-tools, zram-config, systemd-swap.
SERVICES = ("dphys-swapfile.service", "zramswap.service", "zram-config.service", "systemd-swap.service")
_UNIT_DIRECTORIES = ("etc/systemd/system", "run/systemd/generator", "run/systemd/generator.late")
_VENDOR_DIRECTORIES = ("usr/local/lib/systemd/system", "usr/lib/systemd/system", "lib/systemd/system")
_ZRAM_GENERATOR = Path("usr/lib/systemd/system-generators/zram-generator")
_FSTAB_TYPE = 2  # the third field


def keep_swap_off(
    root: Path, run: Callable[[Sequence[str]], object], changes: Changes, record: Record
) -> None:
    """Turn swap off and keep it off. `run` starts a program and raises HostError if that fails."""
    known = len(changes.sentences)
    _comment_fstab(root, changes, record)
    _empty_zram_generator(root, changes, record)
    for unit in sorted({*_swap_units(root), *_services(root)}):
        _mask(root, unit, changes, record)
    persistent = len(changes.sentences) > known
    swaps = active_swaps(root)
    if swaps:
        _turn_off(root, swaps, run, changes, record)
    if persistent and not changes.dry:
        run(["systemctl", "daemon-reload"])


def active_swaps(root: Path) -> list[str]:
    """Devices and files that the kernel swaps to now."""
    lines = (read(root / "proc/swaps") or "").splitlines()[1:]
    return [line.split()[0].replace("\\040", " ") for line in lines if line.strip()]


def _turn_off(
    root: Path, swaps: list[str], run: Callable[[Sequence[str]], object], changes: Changes, record: Record
) -> None:
    def effect() -> None:
        for path in swaps:
            record.note("swaps", path, was=True)
        run(["swapoff", "--", *swaps])
        left = active_swaps(root)
        if left:
            raise HostError(f"swap is still on after swapoff: {', '.join(left)}", command=["swapoff", *swaps])

    changes.make(f"turned swap off: {', '.join(swaps)}", effect)


def _comment_fstab(root: Path, changes: Changes, record: Record) -> None:
    path = root / "etc/fstab"
    lines = (read(path) or "").splitlines()
    swap_lines = [line for line in lines if _mounts_swap(line)]
    if not swap_lines:
        return
    if not changes.dry:
        record.note_path(path)
    kept = "\n".join(FSTAB_MARK + line if line in swap_lines else line for line in lines) + "\n"
    names = ", ".join(line.split()[0] for line in swap_lines)
    changes.file(path, kept, sentence=f"commented swap out in /etc/fstab: {names}")


def _mounts_swap(line: str) -> bool:
    fields = line.split()
    return len(fields) > _FSTAB_TYPE and not line.lstrip().startswith("#") and fields[_FSTAB_TYPE] == "swap"


def _empty_zram_generator(root: Path, changes: Changes, record: Record) -> None:
    if not (root / _ZRAM_GENERATOR).exists():
        return
    path = root / "etc/systemd/zram-generator.conf"
    if read(path) != ZRAM_MARK:
        if not changes.dry:
            record.note_path(path)
        changes.file(path, ZRAM_MARK, sentence="switched zram-generator off")
    for directory in ("usr/lib/systemd", "etc/systemd"):
        for part in sorted((root / directory / "zram-generator.conf.d").glob("*.conf")):
            _link_to_nothing(root / "etc/systemd/zram-generator.conf.d" / part.name, changes, record)


def _swap_units(root: Path) -> Iterator[str]:
    for directory in (*_UNIT_DIRECTORIES, *_VENDOR_DIRECTORIES):
        for unit in (root / directory).glob("*.swap"):
            # What is generated from fstab goes away with the line in fstab.
            if "SourcePath=/etc/fstab" not in (read(unit) or ""):
                yield unit.name


def _services(root: Path) -> Iterator[str]:
    directories = ("etc/systemd/system", *_VENDOR_DIRECTORIES)
    for name in SERVICES:
        if any((root / directory / name).exists() for directory in directories):
            yield name


def _mask(root: Path, unit: str, changes: Changes, record: Record) -> None:
    _link_to_nothing(root / "etc/systemd/system" / unit, changes, record, sentence=f"masked {unit}")


def _link_to_nothing(path: Path, changes: Changes, record: Record, *, sentence: str = "") -> None:
    """Make `path` a link to /dev/null, which for systemd means: as if it was not there."""
    if path.is_symlink() and str(path.readlink()) == "/dev/null":
        return

    def effect() -> None:
        record.note_path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to("/dev/null")

    changes.make(sentence or f"masked {path}", effect)
