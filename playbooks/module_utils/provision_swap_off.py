"""Turn swap off, and keep every source of it from switching it on at the next boot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ansible.module_utils.provision_errors import HostError
from ansible.module_utils.provision_host import read
from ansible.module_utils.provision_swap import (
    ZRAM_GENERATOR,
    active_swaps,
    swap_device,
    swap_services,
    swap_units,
)

if TYPE_CHECKING:
    from ansible.module_utils.provision_host import Changes, Run
    from ansible.module_utils.provision_record import Record

FSTAB_MARK = "# provision keeps swap off: "
ZRAM_MARK = "# Empty on purpose: provision keeps swap off.\n"


def keep_swap_off(root: Path, run: Run, changes: Changes, record: Record) -> None:
    """Turn swap off and keep it off. `run` starts a program and raises HostError if that fails."""
    known = len(changes.sentences)
    _comment_fstab(root, changes, record)
    _empty_zram_generator(root, changes, record)
    for unit in sorted({*swap_units(root), *swap_services(root)}):
        path = root / "etc/systemd/system" / unit
        _link_to_nothing(path, changes, record, sentence=f"masked {unit}")
    persistent = len(changes.sentences) > known
    swaps = active_swaps(root)
    if swaps:
        _turn_off(root, swaps, run, changes, record)
    if persistent and not changes.dry:
        run(["systemctl", "daemon-reload"])


def _turn_off(root: Path, swaps: list[str], run: Run, changes: Changes, record: Record) -> None:
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
    swap_lines = [line for line in lines if swap_device(line)]
    if not swap_lines:
        return
    if not changes.dry:
        record.note_path(path)
    kept = "\n".join(FSTAB_MARK + line if line in swap_lines else line for line in lines) + "\n"
    names = ", ".join(line.split()[0] for line in swap_lines)
    changes.file(path, kept, sentence=f"commented swap out in /etc/fstab: {names}")


def _empty_zram_generator(root: Path, changes: Changes, record: Record) -> None:
    if not Path(f"{root}{ZRAM_GENERATOR}").exists():
        return
    path = root / "etc/systemd/zram-generator.conf"
    if read(path) != ZRAM_MARK:
        if not changes.dry:
            record.note_path(path)
        changes.file(path, ZRAM_MARK, sentence="switched zram-generator off")
    for directory in ("usr/lib/systemd", "etc/systemd"):
        for part in sorted((root / directory / "zram-generator.conf.d").glob("*.conf")):
            _link_to_nothing(root / "etc/systemd/zram-generator.conf.d" / part.name, changes, record)


def _link_to_nothing(path: Path, changes: Changes, record: Record, *, sentence: str = "") -> None:
    """Make `path` a link to /dev/null, which for systemd means: not there."""
    if path.is_symlink() and str(path.readlink()) == "/dev/null":
        return

    def effect() -> None:
        record.note_path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to("/dev/null")

    changes.make(sentence or f"masked {path}", effect)
