"""Container runtimes that a reset stops, and what Kubernetes kept in one that stays."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, NamedTuple

from ansible.module_utils.provision_host import PATH, Changes, Run
from ansible.module_utils.provision_packages import leaving as leaving_packages, remove
from ansible.module_utils.provision_places import (
    GROUP,
    RUNTIME_PLACES,
    group_members,
    sweep,
    unmount_below,
)
from ansible.module_utils.provision_record import Record, listing
from ansible.module_utils.provision_restore import restore_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

# What files of a package repository begin with, before its name.
_REPOSITORY_FILES = (
    "etc/apt/keyrings/provision-",
    "etc/apt/preferences.d/provision-",
    "etc/apt/sources.list.d/provision-",
    "etc/pki/rpm-gpg/RPM-GPG-KEY-provision-",
    "etc/yum.repos.d/provision-",
)
_CTR = ["ctr", "--namespace", "k8s.io"]


class Runtime(NamedTuple):
    """`socket` is the URL of its CRI socket; `places` are directories as in provision_places.

    `package` is the one whose removal means that the runtime leaves the host, `repository` where it came from;
    `sockets` are units that would start the service again; `below` is the runtime on which it runs.
    """

    socket: str
    package: str
    repository: str
    program: str
    service: str
    places: tuple[str, ...]
    sockets: tuple[str, ...] = ()
    below: str = ""

    @property
    def units(self) -> tuple[str, ...]:
        """All its units, in the order in which they are stopped."""
        return (*self.sockets, self.service)


# Docker before containerd, on which it runs.
RUNTIMES = {
    "docker": Runtime(
        "unix:///run/cri-dockerd.sock",
        "docker-ce",
        "docker",
        "dockerd",
        "docker.service",
        RUNTIME_PLACES["docker"],
        ("docker.socket",),
        "containerd",
    ),
    "containerd": Runtime(
        "unix:///run/containerd/containerd.sock",
        "containerd.io",
        "docker",
        "containerd",
        "containerd.service",
        RUNTIME_PLACES["containerd"],
    ),
    "crio": Runtime(
        "unix:///run/crio/crio.sock", "cri-o", "crio", "crio", "crio.service", RUNTIME_PLACES["crio"]
    ),
}
CRI_DOCKER = ("cri-docker.socket", "cri-docker.service")
_CRI_DOCKER_PLACES = ("opt/cri-dockerd", "var/lib/cri-dockerd")
_CRI_DOCKER_FILES = tuple(f"etc/systemd/system/{unit}" for unit in CRI_DOCKER)
_DAEMON = "etc/docker/daemon.json"
_DOCKER = ["docker", "--host=unix:///run/docker.sock"]
_OF_A_POD = "label=io.kubernetes.pod.uid"  # set by the kubelet on each container


def leaving(packages: Record, root: Path) -> list[Runtime]:
    """Runtimes that came with this tool and that nothing else needs: a reset takes them away."""
    gone = leaving_packages(packages, root)
    return [runtime for runtime in RUNTIMES.values() if runtime.package in gone]


def stop_runtimes(changes: Changes, packages: Record, *, root: Path, run: Run) -> None:
    """Stop every runtime that Kubernetes used, for good if it leaves."""
    gone = leaving(packages, root)
    serves = _serves(packages, root)
    if serves:
        _stop_all(CRI_DOCKER, changes, run, for_good=True)
    for name, runtime in RUNTIMES.items():
        # A Docker that stays and whose configuration stays keeps what others run in it, and the containerd below it.
        kept = {"docker": not _is_configured(packages, root), "containerd": serves}
        if runtime not in gone and kept.get(name, False):
            continue
        _stop_all(runtime.units, changes, run, for_good=runtime in gone)


def _serves(packages: Record, root: Path) -> bool:
    """Whether Docker served Kubernetes by our cri-dockerd."""
    return any(str(root / file) in packages.noted("files") for file in _CRI_DOCKER_FILES)


def _is_configured(packages: Record, root: Path) -> bool:
    return str(root / _DAEMON) in packages.noted("written")


def stop_others(wanted: str, changes: Changes, packages: Record, *, root: Path, run: Run) -> None:
    """Stop every runtime that came with this tool for good, except `wanted` and the one below it."""
    _stop_others(wanted, leaving(packages, root), changes, packages, root=root, run=run)


def _stop_others(
    wanted: str, gone: Sequence[Runtime], changes: Changes, packages: Record, *, root: Path, run: Run
) -> None:
    if wanted != "docker" and _serves(packages, root):
        _stop_all(CRI_DOCKER, changes, run, for_good=True)
    for name, runtime in RUNTIMES.items():
        if runtime in gone and name not in {wanted, RUNTIMES[wanted].below}:
            _stop_all(runtime.units, changes, run, for_good=True)


def remove_others(wanted: str, changes: Changes, packages: Record, *, root: Path, run: Run) -> None:
    """Remove the other runtimes that came with this tool from a node: packages, files, images.

    From the one below `wanted` only what Kubernetes kept in it goes.
    """
    gone = leaving(packages, root)
    _stop_others(wanted, gone, changes, packages, root=root, run=run)
    stays, listings = RUNTIMES[wanted], Record("host_prepare", root=root).noted("listings")
    if wanted != "docker" and _serves(packages, root):
        _restore_below(tuple(str(root / file) for file in _CRI_DOCKER_FILES), changes, packages, root)
        sweep([root / place for place in _CRI_DOCKER_PLACES], listings, changes, root=root)
    for name, runtime in RUNTIMES.items():
        places = [root / place for place in runtime.places]
        own = tuple(f"{place}/" for place in places)
        if name == wanted or runtime not in gone:
            continue
        if name == stays.below:
            _empty_namespace(changes, run)
            _restore_below(own, changes, packages, root)
            continue
        unmount_below(places, changes, root=root, run=run)
        shared = runtime.repository == stays.repository
        kept = (stays.package,) if shared else ()
        remove(changes, packages, root=root, run=run, repository=runtime.repository, kept=kept)
        if not shared:
            own += tuple(f"{root / file}{runtime.repository}" for file in _REPOSITORY_FILES)
        _restore_below(own, changes, packages, root)
        sweep(places, listings, changes, root=root)


def _restore_below(own: tuple[str, ...], changes: Changes, packages: Record, root: Path) -> None:
    """Put back the recorded files whose paths begin like that."""
    files = {path: was for path, was in packages.noted("files").items() if path.startswith(own)}
    restore_files(files, changes, root=root, written=packages.noted("written"), marked=False)


def give_back(changes: Changes, packages: Record, *, root: Path, run: Run) -> None:
    """Remove what Kubernetes kept in runtimes that stay, and start those that ran before."""
    gone = leaving(packages, root)
    for name, runtime in RUNTIMES.items():
        was_active = packages.noted("units").get(runtime.service, {}).get("active", True)
        if runtime in gone or not was_active or shutil.which(runtime.program, path=PATH) is None:
            continue
        if name == "docker" and not _serves(packages, root):
            continue
        if name == "crio":
            _wipe(changes, root=root, run=run)
        if not is_active(runtime.service, run):
            changes.make(
                f"started {runtime.service}",
                lambda runtime=runtime: run(["systemctl", "start", runtime.service], timeout=120),
            )
        if name == "containerd":
            _empty_namespace(changes, run)
        if name == "docker":
            _remove_pods(changes, run)


def _remove_pods(changes: Changes, run: Run) -> None:
    """Remove the containers of Kubernetes from a Docker that others use too; it removes no image."""
    found = _listed([*_DOCKER, "ps", "--all", "--quiet", f"--filter={_OF_A_POD}"], run)
    if found:
        changes.make(
            f"removed {len(found)} containers of Kubernetes from Docker",
            lambda: run([*_DOCKER, "rm", "--force", "--volumes", *found], timeout=300),
        )


def remove_group(groups: Mapping[str, bool], changes: Changes, *, run: Run) -> None:
    """Delete the group of a Docker that was removed, unless it was there before or has members by now."""
    if groups.get(GROUP) is False and group_members(GROUP) == []:
        changes.make(f"removed the group {GROUP}", lambda: run(["groupdel", GROUP]))


def _wipe(changes: Changes, *, root: Path, run: Run) -> None:
    """Remove the containers and images of a stopped CRI-O: it serves Kubernetes alone."""
    layers = root / "var/lib/containers/storage/overlay-containers"
    if listing(layers):
        changes.make(
            "removed containers and images of Kubernetes from CRI-O",
            lambda: run(["crio", "wipe", "--force"], timeout=300),
        )


def is_active(unit: str, run: Run) -> bool:
    return run(["systemctl", "is-active", "--quiet", unit], check=False).status == 0


def _stop_all(units: Iterable[str], changes: Changes, run: Run, *, for_good: bool) -> None:
    for unit in units:
        stop(unit, changes, run, for_good=for_good)


def stop(unit: str, changes: Changes, run: Run, *, for_good: bool) -> None:
    """Stop a unit; `for_good`: it does not start at boot either. One that is not installed is none."""
    shown = run(["systemctl", "show", "--property=LoadState,ActiveState,UnitFileState", unit]).out
    state = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    if state.get("LoadState") != "loaded":
        return
    if state.get("ActiveState") not in {"inactive", "failed"}:
        changes.make(f"stopped {unit}", lambda: run(["systemctl", "stop", unit], timeout=120))
    if for_good and state.get("UnitFileState") == "enabled":
        changes.make(f"disabled {unit}", lambda: run(["systemctl", "disable", "--quiet", unit]))


def _empty_namespace(changes: Changes, run: Run) -> None:
    """Remove containers, images and snapshots of Kubernetes from a containerd that others use too."""
    if shutil.which("ctr", path=PATH) is None or "k8s.io" not in _listed(
        ["ctr", "namespaces", "list", "--quiet"], run
    ):
        return

    def effect() -> None:
        for kind, option in (("containers", []), ("leases", []), ("images", ["--sync"])):
            names = _listed([*_CTR, kind, "list", "--quiet"], run)
            if names:
                run([*_CTR, kind, "delete", *option, *names], timeout=300, check=False)
        while names := _snapshots(run):
            run([*_CTR, "snapshots", "delete", *names], timeout=300, check=False)
            if _snapshots(run) == names:
                break  # what is left has a user that we do not know
        run(["ctr", "namespaces", "remove", "k8s.io"], check=False)

    changes.make("removed containers and images of Kubernetes from containerd", effect)


def _snapshots(run: Run) -> list[str]:
    lines = run([*_CTR, "snapshots", "list"], check=False).out.splitlines()[1:]
    return [line.split()[0] for line in lines if line.strip()]


def _listed(argv: list[str], run: Run) -> list[str]:
    return run(argv, check=False).out.split()
