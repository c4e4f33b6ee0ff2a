"""Identity of machines: SSH keys, and the seed disks that bring them into the guests.

Host keys are generated here and pinned in `known_hosts`, so that nothing is trusted on first use.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
from typing import TYPE_CHECKING

from provision.errors import LabError
from provision.files import atomic_write
from provision.lab.state import GATEWAY, Lab, LabDirectory, Machine, write_private
from provision.lab.versions import DEFAULT_SYSTEM

if TYPE_CHECKING:
    from pathlib import Path

USER = "lab"


def ensure_identity(directory: LabDirectory, lab: Lab) -> None:
    """Create the keys, seed disks and SSH client files that are missing. Raises LabError."""
    _ensure_key(directory.key, f"lab {lab.name}")
    for machine in lab.machines:
        _ensure_key(_host_key_file(directory, machine), machine.name)
        seed = directory.machine(machine.name) / "seed.tar"
        if not seed.exists():
            _write_seed(seed, _seed_files(directory, machine))
    write_private(directory.known_hosts, _known_hosts(directory, lab))
    write_private(directory.ssh_config, _ssh_config(directory, lab))


def read_host_key(directory: LabDirectory, machine: Machine) -> str:
    """Return the machine's public host key, "ssh-ed25519 AAAA..."."""
    public = _host_key_file(directory, machine).with_suffix(".pub")
    return " ".join(public.read_text().split()[:2])


def _host_key_file(directory: LabDirectory, machine: Machine) -> Path:
    return directory.machine(machine.name) / "host_ed25519"


def _ensure_key(path: Path, comment: str) -> None:
    """Generate a key pair if it is missing. The private half is renamed last: it exists only with its public half."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f"{path.name}.new")
    for half in (fresh, fresh.with_name(f"{fresh.name}.pub")):
        half.unlink(missing_ok=True)
    argv = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(fresh))
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabError(f"cannot generate an SSH key: {done.stderr.strip()}")
    fresh.with_name(f"{fresh.name}.pub").replace(path.with_name(f"{path.name}.pub"))
    fresh.replace(path)


def _seed_files(directory: LabDirectory, machine: Machine) -> dict[str, tuple[int, str]]:
    """Return path in the guest -> (mode, text); applied at the first boot only, later changes survive."""
    host_key_file = _host_key_file(directory, machine)
    network = (
        f"[Match]\nName=eth0\n\n[Network]\nAddress={machine.address}/24\n"
        f"Gateway={GATEWAY}\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n"
    )
    manager = (
        "[connection]\nid=eth0\ntype=ethernet\ninterface-name=eth0\n\n[ipv4]\nmethod=manual\n"
        f"address1={machine.address}/24,{GATEWAY}\ndns={GATEWAY}\n\n[ipv6]\nmethod=disabled\n"
    )
    is_debian = machine.system == DEFAULT_SYSTEM
    interface = (
        {"etc/systemd/network/10-lab.network": (0o644, network)}
        if is_debian
        else {"etc/NetworkManager/system-connections/eth0.nmconnection": (0o600, manager)}
    )
    hosts = f"127.0.0.1 localhost\n127.0.1.1 {machine.name}\n::1 localhost ip6-localhost ip6-loopback\n"
    return {
        "etc/hostname": (0o644, f"{machine.name}\n"),
        "etc/hosts": (0o644, hosts),
        **interface,
        "etc/ssh/ssh_host_ed25519_key": (0o600, host_key_file.read_text()),
        "etc/ssh/ssh_host_ed25519_key.pub": (0o644, host_key_file.with_suffix(".pub").read_text()),
        # Below /etc: the owner of a home directory is not known here.
        f"etc/ssh/authorized_keys.d/{USER}": (0o644, directory.key.with_suffix(".pub").read_text()),
    }


def _write_seed(path: Path, files: dict[str, tuple[int, str]]) -> None:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, (mode, text) in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(text.encode()), mode
            archive.addfile(member, io.BytesIO(text.encode()))
    atomic_write(path, content.getvalue())


def _known_hosts(directory: LabDirectory, lab: Lab) -> str:
    lines = (f"{one.name},{one.address} {read_host_key(directory, one)}\n" for one in lab.machines)
    return "".join(lines)


def _ssh_config(directory: LabDirectory, lab: Lab) -> str:
    hosts = "".join(f"Host {one.name}\n  HostName {one.address}\n" for one in lab.machines)
    common = (
        f'  User {USER}\n  IdentityFile "{directory.key}"\n  IdentitiesOnly yes\n  IdentityAgent none\n'
        f'  UserKnownHostsFile "{directory.known_hosts}"\n  GlobalKnownHostsFile /dev/null\n'
        "  StrictHostKeyChecking yes\n  LogLevel ERROR\n  ConnectTimeout 5\n"
    )
    return f"{hosts}Host *\n{common}"
