"""Versions: do installed ones fit the file, are they tested together, and do they still get fixes."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from provision.model.matrix import calico_mismatch, containerd_mismatch
from provision.model.plan import Finding
from provision.model.units import counted, minor_of, names, numbers_of
from provision.providers.kubeadm.runtimes import RUNTIMES
from provision.providers.kubeadm.steps.context import membership, new_nodes
from provision.providers.kubeadm.systems import package_manager_of
from provision.versions import versions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provision.model.cluster import Cluster, Host
    from provision.providers.kubeadm.facts.host import Observation

_SOON = dt.timedelta(days=60)


def kubernetes(cluster: Cluster, observation: Observation) -> Iterator[Finding]:
    """A new cluster is of a supported minor and of no broken patch release; of an existing one, warn."""
    known, version, new = versions().kubernetes, *_kubernetes(cluster, observation)
    minor = known.minors.get(minor_of(version))
    if minor is None:
        return
    newer = [name for name in known.creatable if numbers_of(name) > numbers_of(minor_of(version))]
    write = f'write kubernetes: "{known.default}"'
    why = _end(f"Kubernetes {minor_of(version)}", minor.end, observation)
    if new and minor.existing_only:
        message = f"no new cluster can have Kubernetes {minor_of(version)}: its support ended on {minor.end}"
        yield Finding.error("kubernetes-support", "", message, write, key="kubernetes")
    elif why:
        upgrade = f"plan the upgrade to {known.minors[newer[0]].patch}" if newer else "use a newer provision"
        yield Finding.warning("kubernetes-support", "", why, write if new else upgrade, key="kubernetes")
    for broken in known.broken:
        if numbers_of(broken.first) <= numbers_of(version) < numbers_of(broken.fixed):
            finding, way = (
                (Finding.error, f'write kubernetes: "{minor.patch}"')
                if new
                else (Finding.warning, f"upgrade to {minor.patch} before anything else")
            )
            message = f"Kubernetes {version} is broken, {broken.fixed} is not: {broken.why}"
            yield finding("kubernetes-broken", "", message, way, key="kubernetes")


def downgrades(cluster: Cluster, observation: Observation) -> Iterator[Finding]:
    """No installed package is newer than the file asks for: none is taken back to an older version."""
    for host, facts in new_nodes(cluster, observation):
        manager = package_manager_of(facts)
        wanted = dict.fromkeys(manager.kubernetes_packages, ("kubernetes", cluster.kubernetes))
        if cluster.runtime_version:
            wanted[RUNTIMES[cluster.runtime].package] = ("runtime_version", cluster.runtime_version)
        for name, (key, version) in wanted.items():
            package = facts.software.packages.get(name)
            if package is not None and numbers_of(package.upstream) > numbers_of(version):
                yield Finding.error(
                    "newer-package",
                    host.name,
                    f"{name} {package.upstream} is installed, newer than {key} in the file, {version}",
                    f"`{manager.remove} {name}` there, if nothing needs it, or write {key}: "
                    f'"{package.upstream}"',
                )


def kept_runtimes(cluster: Cluster, observation: Observation) -> Iterator[Finding]:
    """A node keeps a runtime that is newer than the file says."""
    wanted = cluster.runtime_version
    for host in cluster.hosts:
        node = observation.cluster.node(host.name) if observation.cluster else None
        if not wanted or node is None or node.runtime_name != cluster.runtime:
            continue
        if numbers_of(node.runtime_version) > numbers_of(wanted):
            yield Finding.warning(
                "runtime-version",
                host.name,
                f"it runs {node.runtime_name} {node.runtime_version}, the file says {wanted}; a node does not go back",
                f"`provision node replace {host.name}` installs {wanted}, or take runtime_version out",
            )


def runtimes(cluster: Cluster, observation: Observation) -> Iterator[Finding]:
    """Runtimes are of lines that are tested with the cluster's Kubernetes and still get fixes."""
    version, _ = _kubernetes(cluster, observation)
    hosts: dict[tuple[str, str, str], list[str]] = {}
    for host in cluster.hosts:
        if host.name in observation.hosts:
            hosts.setdefault(_runtime(cluster, observation, host), []).append(host.name)
    for (name, found, way), which in hosts.items():
        where, subject = (which[0], "") if len(which) == 1 else ("", f"{names(which)}: ")
        mismatch, end = "", ""
        if name == "containerd":
            ends = versions().containerd.ends.get(minor_of(found))
            mismatch = containerd_mismatch(version, found)
            end = _end(f"containerd {minor_of(found)}", ends, observation) if ends else ""
        elif name == "crio" and minor_of(found) != minor_of(version):
            mismatch = f"CRI-O {found} goes with Kubernetes {minor_of(found)}, not with {minor_of(version)}"
        if mismatch:
            yield Finding.warning("runtime-matrix", where, f"{subject}{mismatch}", way)
        if end:
            yield Finding.warning("runtime-support", where, f"{subject}{end}", way)


def kept_network(cluster: Cluster, observation: Observation) -> Iterator[Finding]:
    """An installed network plugin keeps its version."""
    wanted, installed = cluster.network.version, _calico(observation)
    if wanted and installed and wanted != installed:
        yield Finding.warning(
            "network-version",
            "",
            f"the cluster runs Calico {installed}, the file says {wanted}; an installed plugin is kept",
            f'write network.version: "{installed}"',
        )


def network(cluster: Cluster, observation: Observation) -> Iterator[Finding]:
    """The network plugin that is installed, or going to be, is tested with the cluster's Kubernetes."""
    known = versions()
    installed, (version, new) = _calico(observation), _kubernetes(cluster, observation)
    minor = known.kubernetes.minors.get(minor_of(version))
    mismatch = calico_mismatch(version, installed or cluster.network.version or known.calico.version)
    if minor is None or not mismatch or not (installed or (new and not minor.existing_only)):
        return
    fits = [one for one in known.calico.manifests if minor_of(one) in minor.calico]
    if installed:
        way = f"plan the upgrade to Calico {fits[-1] if fits else minor.calico[-1]}"
    else:
        way = f'network.version: "{fits[-1]}"' if fits else f'kubernetes: "{known.kubernetes.default}"'
        way = f"write {way}"
    yield Finding.warning("network-matrix", "", mismatch, way, key="network.version")


def _calico(observation: Observation) -> str:
    """Version of the Calico that is installed completely; "" without one."""
    found = observation.cluster
    return found.calico_version.removeprefix("v") if found and found.has_network else ""


def _kubernetes(cluster: Cluster, observation: Observation) -> tuple[str, bool]:
    """The version that the cluster runs, or else that of the file; and whether a new cluster is to be created."""
    running = observation.cluster.version.removeprefix("v") if observation.cluster else ""
    return running or cluster.kubernetes, membership(cluster, observation).initialise is not None


def _runtime(cluster: Cluster, observation: Observation, host: Host) -> tuple[str, str, str]:
    """Name and version of the runtime that a host runs or is going to run, and how to get another one."""
    node = observation.cluster.node(host.name) if observation.cluster else None
    runtime = RUNTIMES[cluster.runtime_of(host)]
    if node:
        wanted = runtime.default_version(cluster)
        way = f'write runtime_version: "{wanted}": `provision apply` then upgrades one node after the other'
        return node.runtime_name, node.runtime_version, way
    package = observation.hosts[host.name].software.packages.get(runtime.package)
    default = runtime.default_version(cluster)
    kept = package.upstream if package and package.whole else default
    way = f'write runtime_version: "{default}"'
    return runtime.name, cluster.version_of(runtime.name) or kept, way


def _end(what: str, end: dt.date, observation: Observation) -> str:
    """Say that support has ended, or will end soon; "" before that."""
    left = end - dt.datetime.fromtimestamp(observation.at, dt.UTC).date()
    if left < dt.timedelta(0):
        return f"support of {what} ended on {end}: it gets no fixes any more"
    return f"support of {what} ends on {end}, in {counted(left.days, 'day')}" if left <= _SOON else ""
