"""Set kernel parameters now and for every boot; refuse files that would set them back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ansible.module_utils.provision_errors import HostError
from ansible.module_utils.provision_files import MARK, host_path
from ansible.module_utils.provision_kernel import SYSCTL_FILE, normal, sysctl, sysctl_lines, sysctl_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible.module_utils.provision_host import Changes
    from ansible.module_utils.provision_record import Record

# "zz": systemd-sysctl and `sysctl --system` read files by name, and Debian has 99-sysctl.conf.
FILE = Path("etc/sysctl.d/99-zz-provision.conf")


def hold_sysctls(root: Path, wanted: Mapping[str, str], changes: Changes, record: Record) -> None:
    """Write the file, set what differs, and read it back.

    Raises HostError for a parameter that the kernel does not have, and for a file that is read after FILE and
    sets another value, which would win at the next boot.
    """
    _refuse_reverting(root, wanted)
    lines = [f"{name} = {value}\n" for name, value in sorted(wanted.items())]
    names = ", ".join(sorted(wanted))
    sentence = f"made sysctls permanent in /{FILE}: {names}"
    changes.file(root / FILE, f"{MARK}\n{''.join(lines)}", sentence=sentence)
    for name, value in sorted(wanted.items()):
        _set(root, name, value, changes, record)


def _set(root: Path, name: str, value: str, changes: Changes, record: Record) -> None:
    path, now = Path(sysctl_path(root, name)), sysctl(root, name)
    if now == normal(value):
        return
    if not path.exists() and not changes.dry:
        raise HostError(f"the kernel has no parameter {name}: is its module loaded?")

    def effect() -> None:
        record.note("sysctls", name, now)
        path.write_text(value + "\n", encoding="utf-8")
        after = sysctl(root, name)
        if after != normal(value):
            raise HostError(f"sysctl {name} is {after} although {value} was written")

    sentence = f"set sysctl {name}={value} (was {now or 'unset'})"
    changes.make(sentence, effect, before=f"{now}\n", after=f"{value}\n")


def _refuse_reverting(root: Path, wanted: Mapping[str, str]) -> None:
    for path, number, name, value in sysctl_lines(root, wanted):
        is_later = Path(path).name > FILE.name or path.endswith(SYSCTL_FILE)
        if is_later and value != normal(wanted[name]):
            where = f"/{host_path(root, path).lstrip('/')}:{number}"
            raise HostError(
                f"{where} sets {name} to {value} and is read after /{FILE}, "
                f"but {wanted[name]} is needed: delete that line",
                lines=[f"{where}: {name} = {value}"],
            )
