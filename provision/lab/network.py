"""One network namespace per lab: a bridge as the machines' gateway and a tap per machine, without uplink.

Nothing is routed to the computer's own network: packets for machines that are off stay inside, and guests that
connect to the internet get "network unreachable" at once.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from provision.errors import LabError
from provision.lab.state import GATEWAY, Machine

BRIDGE = "br0"
_NAMESPACES = Path("/run/netns")


def namespace(lab: str) -> str:
    """Return the name of the lab's namespace, as `ip netns` shows it."""
    return f"provision-lab-{lab}"


def enter_command(lab: str) -> tuple[str, ...]:
    """Return the prefix of commands that run in the lab's network, with the caller's environment."""
    return ("nsenter", f"--net={_NAMESPACES / namespace(lab)}", "--")


def exists(lab: str) -> bool:
    return (_NAMESPACES / namespace(lab)).exists()


def refuse_name_conflict(lab: str) -> None:
    """Raise LabError if programs run in a namespace of that name: another state directory's lab has it."""
    if not _is_mounted(lab):
        return
    inside = _ip("netns", "pids", namespace(lab)).split()
    if inside:
        fix = "use the PROVISION_STATE of that lab, or another --name"
        raise LabError(
            f"lab {lab} belongs to another state directory; process {inside[0]} runs in it", fix=fix
        )


def ensure(lab: str, machines: tuple[Machine, ...]) -> None:
    """Create the namespace, its bridge and the machines' taps as far as they are missing. Raises LabError."""
    if not _is_mounted(lab):
        remove(lab)
        _ip("netns", "add", namespace(lab))
    inside = ("-n", namespace(lab))
    present = _links(lab)
    if BRIDGE not in present:
        _ip(*inside, "link", "add", BRIDGE, "type", "bridge", "forward_delay", "0")
    _ip(*inside, "addr", "replace", f"{GATEWAY}/24", "dev", BRIDGE)
    _ip(*inside, "link", "set", "lo", "up")
    _ip(*inside, "link", "set", BRIDGE, "up")
    # With forwarding on and no route the gateway answers "unreachable"; with forwarding off it stays silent.
    _call((*enter_command(lab), "sysctl", "-qw", "net.ipv4.ip_forward=1"))
    for machine in machines:
        if machine.tap not in present:
            _ip(*inside, "tuntap", "add", machine.tap, "mode", "tap")
        _ip(*inside, "link", "set", machine.tap, "master", BRIDGE, "up")


def set_link(lab: str, machine: Machine, *, connected: bool) -> None:
    """Attach the machine's tap to the bridge or detach it; the guest's carrier stays on. Raises LabError."""
    bridge = ("master", BRIDGE) if connected else ("nomaster",)
    _ip("-n", namespace(lab), "link", "set", machine.tap, *bridge)


def remove(lab: str) -> None:
    """Remove the namespace, if it exists, with everything in it. Raises LabError."""
    if exists(lab):
        _ip("netns", "delete", namespace(lab))


def _is_mounted(lab: str) -> bool:
    """Whether a namespace is mounted under that name; a crash of `ip netns add` can leave an empty file."""
    wanted = str(_NAMESPACES / namespace(lab))
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    return any(line.split()[1] == wanted for line in mounts)


def _links(lab: str) -> frozenset[str]:
    listed = json.loads(_ip("-n", namespace(lab), "-json", "link", "show"))
    return frozenset(link["ifname"] for link in listed)


def _ip(*arguments: str) -> str:
    return _call(("ip", *arguments))


def _call(argv: tuple[str, ...]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabError(f"cannot set up the lab's network: {' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout
