"""Swap that is on, and everything that would switch it on at the next boot; found in files, without a program.

The sources are fstab, .swap units (written by hand, by systemd's GPT generator or by zram-generator) and the
services of a few swap packages.
"""

from __future__ import annotations

import os

from ansible.module_utils.provision_files import assignments, layered, names, text_of

TYPE_CHECKING = False  # importing `typing` costs 20 ms on a small machine
if TYPE_CHECKING:
    from ansible.module_utils.provision_files import Root

ZRAM_GENERATOR = "/usr/lib/systemd/system-generators/zram-generator"
_ZRAM_CONFIGURATIONS = ("/etc/systemd", "/run/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd")
_UNITS = (
    "/etc/systemd/system",
    "/run/systemd/generator",
    "/run/systemd/generator.late",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
# Units of packages that make swap on their own, without a .swap unit.
_SERVICES = ("dphys-swapfile.service", "zramswap.service", "zram-config.service", "systemd-swap.service")
_FSTAB_TYPE = 2  # the third field


def active_swaps(root: Root) -> list[str]:
    """Devices and files that the kernel swaps to now."""
    lines = text_of(f"{root}/proc/swaps").splitlines()[1:]
    return [line.split()[0].replace("\\040", " ") for line in lines if line.strip()]


def swap_sources(root: Root) -> list[dict[str, str]]:
    """What would switch swap on at the next boot: the device or file ("" if unknown) and the origin."""
    sources = [{"path": path, "origin": "/etc/fstab"} for path in _fstab_swaps(root)]
    sources += [{"path": path, "origin": unit} for unit, path in swap_units(root).items()]
    if os.path.exists(f"{root}{ZRAM_GENERATOR}"):
        files = [f"{root}{directory}/zram-generator.conf" for directory in _ZRAM_CONFIGURATIONS]
        files = [path for path in files if os.path.exists(path)][:1]
        drop_ins = [directory + "/zram-generator.conf.d" for directory in _ZRAM_CONFIGURATIONS]
        files += layered(root, drop_ins, ".conf")
        if any("[" in line.partition("#")[0] for path in files for line in text_of(path).splitlines()):
            sources.append({"path": "/dev/zram0", "origin": "zram-generator"})
    return sources + [{"path": "", "origin": service} for service in swap_services(root)]


def swap_device(fstab_line: str) -> str:
    """The first field of a line of fstab that mounts swap; "" of any other line."""
    fields = fstab_line.partition("#")[0].split()
    return fields[0] if len(fields) > _FSTAB_TYPE and fields[_FSTAB_TYPE] == "swap" else ""


def swap_units(root: Root) -> dict[str, str]:
    """Name and device of every .swap unit that is not masked and does not come from fstab."""
    found: dict[str, str] = {}
    for directory in _UNITS:
        for name in names(f"{root}{directory}", ".swap"):
            text = text_of(f"{root}{directory}/{name}")
            # A unit generated from fstab goes with its line there.
            if name not in found and not _is_masked(root, name) and "SourcePath=/etc/fstab" not in text:
                found[name] = assignments(text).get("What", "")
    return found


def swap_services(root: Root) -> list[str]:
    """Services of swap packages that are installed and not masked."""
    return [
        service
        for service in _SERVICES
        if not _is_masked(root, service)
        and any(os.path.exists(f"{root}{directory}/{service}") for directory in _UNITS)
    ]


def _fstab_swaps(root: Root) -> list[str]:
    paths = []
    for device in map(swap_device, text_of(f"{root}/etc/fstab").splitlines()):
        tag, _, value = device.partition("=")
        by_tag = f"{root}/dev/disk/by-{tag.lower()}/" + value.strip('"')
        if device:
            paths.append(os.path.realpath(by_tag) if value and os.path.exists(by_tag) else device)
    return paths


def _is_masked(root: Root, unit: str) -> bool:
    return os.path.realpath(f"{root}/etc/systemd/system/{unit}") == "/dev/null"
