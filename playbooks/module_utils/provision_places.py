"""Where Kubernetes, its network and its runtime keep their things on a host: noted before, swept by a reset."""

from __future__ import annotations

import grp
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.module_utils.provision_host import Changes, HostError, Run, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

# Directories, relative to the root; what a reset removes below them, unless it was there before.
PLACES = (
    "etc/kubernetes",
    "etc/kubernetes/pki",
    "etc/cni",
    "etc/cni/net.d",
    "opt/cni",
    "opt/cni/bin",
    "opt/cri-dockerd",
    "usr/libexec/kubernetes",
    "var/lib/calico",
    "var/lib/cni",
    "var/lib/cri-dockerd",
    "var/lib/etcd",
    "var/lib/kubelet",
    "var/log/calico",
    "var/log/containers",
    "var/log/pods",
    "run/calico",
    "run/flannel",
    "run/kubernetes",
    "run/nodeagent",
)
# Only where the runtime was installed by us.
RUNTIME_PLACES = {
    "containerd": ("etc/containerd", "opt/containerd", "var/lib/containerd", "run/containerd", "run/nri"),
    "crio": (
        "etc/containers",
        "etc/containers/registries.conf.d",
        "etc/crio",
        "etc/crio/crio.conf.d",
        "run/containers",
        "run/crio",
        "var/lib/containers",
        "var/lib/containers/storage",
        "var/lib/crio",
        "var/log/crio",
    ),
    "docker": ("etc/docker", "run/docker", "var/lib/docker"),
}

GROUP = "docker"  # made by Docker's package, which leaves it behind

# Set by the kubelet (container manager), by kube-proxy (conntrack, route_localnet) and by the CNI plugins.
CHANGED_SYSCTLS = (
    "vm.overcommit_memory",
    "vm.panic_on_oom",
    "kernel.panic",
    "kernel.panic_on_oops",
    "kernel.keys.root_maxkeys",
    "kernel.keys.root_maxbytes",
    "net.ipv4.conf.all.route_localnet",
    "net.ipv6.conf.all.forwarding",
    "net.ipv6.conf.default.forwarding",
    "net.netfilter.nf_conntrack_acct",
    "net.netfilter.nf_conntrack_max",
    "net.netfilter.nf_conntrack_tcp_be_liberal",
    "net.netfilter.nf_conntrack_tcp_timeout_close_wait",
    "net.netfilter.nf_conntrack_tcp_timeout_established",
    "net.netfilter.nf_conntrack_udp_timeout",
    "net.netfilter.nf_conntrack_udp_timeout_stream",
)


def group_members(name: str) -> list[str] | None:
    """Members of a group; None if there is no such group."""
    try:
        return grp.getgrnam(name).gr_mem
    except KeyError:
        return None


def mounts(root: Path) -> list[str]:
    """Mount points of this host, those that were mounted first first."""
    lines = (read(root / "proc/self/mountinfo") or "").splitlines()
    return [_decoded(line.split()[4]) for line in lines if len(line.split()) > 4]  # noqa: PLR2004  (proc(5))


def unmount_below(places: Iterable[Path], changes: Changes, *, root: Path, run: Run) -> None:
    """Unmount everything below the places; what is mounted on a place itself, a disk of its own perhaps, stays."""
    prefixes = tuple({f"{path}/" for place in places for path in (place, place.resolve())})
    found = [point for point in reversed(mounts(root)) if point.startswith(prefixes)]
    if not found:
        return

    def effect() -> None:
        for point in found:
            if run(["umount", "--", point], check=False).status != 0:
                run(["umount", "--lazy", "--", point], check=False)

    changes.make(f"unmounted {len(found)} volumes of pods and containers", effect)


def sweep(places: Iterable[Path], listings: Mapping[str, Any], changes: Changes, *, root: Path) -> None:
    """Remove what is in the places, except names that `listings` says were there before.

    A place that was not there before goes too; one that is a link or a mount point stays, empty. HostError if
    anything is still mounted below: what lies there is not part of the cluster.
    """
    for place in sorted(places, reverse=True):  # the deepest first
        if not place.is_dir():
            continue
        before = listings.get(str(place))
        goes = [path for path in sorted(place.iterdir()) if path.name not in (before or ())]
        _refuse_mounted(goes, root)
        stays = before is not None or place.is_symlink() or str(place) in mounts(root)
        if goes or not stays:
            changes.make(
                f"emptied {place}" if stays else f"removed {place}", _removal(place, goes, stays=stays)
            )


def delete(path: Path) -> None:
    """Remove a file, a link, or a directory with everything in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _removal(place: Path, goes: list[Path], *, stays: bool) -> Callable[[], None]:
    def effect() -> None:
        for path in goes:
            delete(path)
        if not stays:
            place.rmdir()

    return effect


def _refuse_mounted(paths: list[Path], root: Path) -> None:
    below = [
        point
        for point in mounts(root)
        for path in paths
        if point == str(path.resolve()) or point.startswith(f"{path.resolve()}/")
    ]
    if below:
        raise HostError(f"{below[0]} is still mounted and would be emptied: `umount {below[0]}`, then go on")


def _decoded(point: str) -> str:
    # A blank is written as its octal number: proc(5).
    return point.encode("latin-1", "backslashreplace").decode("unicode_escape") if "\\" in point else point
