"""A network namespace per lab: a bridge that is the machines' gateway, a tap per machine, and no way out.

Nothing routes between it and the computer's own network. A packet for a machine that is not up stays inside,
and a guest that asks for the internet is told "network unreachable" at once.
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
    """Name of the lab's namespace, as `ip netns` shows it."""
    return f"provision-lab-{lab}"


def entering(lab: str) -> tuple[str, ...]:
    """Return what to put before a command to run it in the lab's network, with the caller's environment."""
    return ("nsenter", f"--net={_NAMESPACES / namespace(lab)}", "--")


def exists(lab: str) -> bool:
    return (_NAMESPACES / namespace(lab)).exists()


def refuse_foreign(lab: str) -> None:
    """Raise LabError if programs run in a namespace of that name though this state directory knows no such lab."""
    if not _is_mounted(lab):
        return
    inside = _ip("netns", "pids", namespace(lab)).split()
    if inside:
        fix = "use the PROVISION_STATE that it was made with, or another --name"
        raise LabError(
            f"lab {lab} belongs to another state directory; process {inside[0]} runs in it", fix=fix
        )


def ensure(lab: str, machines: tuple[Machine, ...]) -> None:
    """Make the namespace, its bridge and the machines' taps where they are missing. Raises LabError."""
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
    _call((*entering(lab), "sysctl", "-qw", "net.ipv4.ip_forward=1"))
    for machine in machines:
        if machine.tap not in present:
            _ip(*inside, "tuntap", "add", machine.tap, "mode", "tap")
        _ip(*inside, "link", "set", machine.tap, "master", BRIDGE, "up")


def plug(lab: str, machine: Machine, *, connected: bool) -> None:
    """Connect the machine's tap with the bridge, or take it off; the machine does not notice. Raises LabError."""
    bridge = ("master", BRIDGE) if connected else ("nomaster",)
    _ip("-n", namespace(lab), "link", "set", machine.tap, *bridge)


def remove(lab: str) -> None:
    """Remove the namespace with everything in it; harmless if there is none. Raises LabError."""
    if exists(lab):
        _ip("netns", "delete", namespace(lab))


def _is_mounted(lab: str) -> bool:
    """Whether the name stands for a namespace; a crash inside `ip netns add` can leave an empty file."""
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
