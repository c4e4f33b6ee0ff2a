"""Is the host's software in a state to build on: packages, sysctls, leftovers of an earlier cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.model.plan import Finding
from provision.providers.kubeadm.runtimes import runtime_change as change_of, runtime_upgrade
from provision.providers.kubeadm.runtimes.docker import ARCHITECTURES, WEBSOCKETS, archives
from provision.providers.kubeadm.steps import role_vars
from provision.providers.kubeadm.steps.context import new_nodes
from provision.providers.kubeadm.systems import DNF, package_manager_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provision.model.cluster import Cluster
    from provision.providers.kubeadm.facts.host import Observation

_OURS = "99-zz-provision.conf"


def package_database(cluster: Cluster, observation: Observation) -> Iterator[Finding]:
    """Packages can be installed: no other program changes them, and none was left half installed."""
    for host, facts in new_nodes(cluster, observation):
        state, manager = facts.software.package_database, package_manager_of(facts)
        if state.locked_by:
            yield Finding.warning(
                "packages-locked",
                host.name,
                f"packages are being changed by {state.locked_by}",
                "wait for its end, or let apply wait for it",
            )
        elif state.broken:
            names = ", ".join(state.broken[:5]).replace("?", "see /var/lib/dpkg/updates")
            what = f"packages were left half installed: {names}"
            if facts.kubernetes.markers:  # a run of ours had begun there
                yield Finding.warning("packages-broken", host.name, what, "apply completes them")
            else:
                which = f" {' '.join(state.broken)}" if manager is DNF else ""
                yield Finding.error("packages-broken", host.name, what, f"`{manager.repair}{which}` there")


def other_containerd(cluster: Cluster, observation: Observation) -> Iterator[Finding]:
    """The distribution's containerd gives way to containerd.io, and what runs on it stops."""
    for host, facts in new_nodes(cluster, observation):
        package = facts.software.packages.get("containerd")
        if package is not None and cluster.runtime_of(host) in ("containerd", "docker"):
            users = [name for name in ("docker.io", "moby-engine") if name in facts.software.packages]
            yield Finding.error(
                "containerd-package",
                host.name,
                f"the distribution's containerd {package.upstream} is installed"
                + (f" and {', '.join(users)} needs it" if users else "")
                + "; containerd.io cannot be installed beside it",
                f"`{package_manager_of(facts).remove} {' '.join([*users, 'containerd'])}` there, if nothing needs it",
            )


def docker(cluster: Cluster, observation: Observation) -> Iterator[Finding]:
    """Docker can be installed: its command is not Podman's, and the digest of cri-dockerd's archive is known."""
    version, digests = archives(cluster)
    for host, facts in new_nodes(cluster, observation):
        if cluster.runtime_of(host) != "docker":
            continue
        if "podman-docker" in facts.software.packages:
            yield Finding.error(
                "docker-package",
                host.name,
                "podman-docker is installed, and docker-ce-cli brings a command docker, too",
                f"`{package_manager_of(facts).remove} podman-docker` there, if nothing needs it",
            )
        architecture = ARCHITECTURES.get(facts.machine.architecture)
        if architecture and architecture not in digests and facts.software.docker.version != version:
            name = f"cri-dockerd-{version}.{architecture}.tgz"
            yield Finding.error(
                "cri-dockerd-digest",
                host.name,
                f"the digest of {name} is not known",
                f"write mirror.digests: {{{name}: SHA256}}; `sha256sum {name}` prints it",
                key="mirror.digests",
            )


def docker_exec(cluster: Cluster, observation: Observation) -> Iterator[Finding]:
    """On nodes with Docker, `kubectl exec` works: their kubelets do not declare that they translate WebSockets."""
    for host in cluster.hosts:
        node = observation.cluster.node(host.name) if observation.cluster else None
        if node and node.runtime_name == "docker" and WEBSOCKETS in node.features:
            yield Finding.warning(
                "docker-exec",
                host.name,
                "`kubectl exec`, `attach` and `port-forward` fail on it: its kubelet takes WebSockets, cri-dockerd "
                "does not",
                f"add --feature-gates={WEBSOCKETS}=false to KUBELET_KUBEADM_ARGS in "
                "/var/lib/kubelet/kubeadm-flags.env there, and `sudo systemctl restart kubelet`",
            )


def runtime_change(cluster: Cluster, observation: Observation) -> Iterator[Finding]:
    """The change of a node's runtime is drained and awaited through a control plane; the only one pauses the API."""
    fresh = {host.name for host, _ in new_nodes(cluster, observation)}
    for host, facts in observation.observed(cluster.hosts):
        change, upgrade = change_of(cluster, host, facts), runtime_upgrade(cluster, host, facts)
        if host.name in fresh:
            continue
        if change:
            found, wanted = change
            what = f"its runtime changes from {found.title} to {wanted.title}"
            keep = f"`runtime: {found.name}` for this host"
        elif upgrade:
            what = f"its runtime is upgraded from {upgrade[0]} to {upgrade[1]}"
            keep = f'`runtime_version: "{upgrade[0]}"`'
        else:
            continue
        if observation.cluster is None:
            way = f"bring an API server back first, or write {keep}"
            yield Finding.error("runtime-change", host.name, f"{what}, and no API server answers", way)
        elif host.role == "control-plane" and len(cluster.control_planes) == 1:
            yield Finding.warning(
                "runtime-change",
                host.name,
                f"{what}: it is the only control plane, so the API does not answer for a few minutes",
                f"to keep it as it is, write {keep}",
            )


def sysctls(cluster: Cluster, observation: Observation) -> Iterator[Finding]:  # noqa: ARG001 - all checks look alike
    """No file that is read after ours sets a value back."""
    for name, facts in observation.hosts.items():
        for key, sysctl in facts.kernel.sysctls.items():
            late = sysctl.file == "/etc/sysctl.conf" or sysctl.file.rpartition("/")[2] > _OURS
            if sysctl.at_boot not in ("", role_vars.SYSCTL_VALUE) and late:
                yield Finding.error(
                    "sysctl-reverted",
                    name,
                    f"{sysctl.file} sets {key} to {sysctl.at_boot} and is read last",
                    "delete that line",
                )


def leftovers(cluster: Cluster, observation: Observation) -> Iterator[Finding]:
    """Nothing of an earlier cluster on a host that is to join; what we began ourselves is marked and undone."""
    for host, facts in new_nodes(cluster, observation):
        kubernetes = facts.kubernetes
        if kubernetes.joined or kubernetes.init_interrupted or kubernetes.join_interrupted:
            continue
        found = [f"/etc/kubernetes/manifests/{name}.yaml" for name in kubernetes.manifests]
        found += ["/var/lib/etcd/member"] * kubernetes.etcd_data + [
            "/etc/kubernetes/admin.conf"
        ] * kubernetes.admin
        if found:
            yield Finding.error(
                "leftovers",
                host.name,
                f"{found[0]} is left from an earlier cluster",
                "`sudo kubeadm reset` there removes it, if it is not needed",
            )


def kubelet(cluster: Cluster, observation: Observation) -> Iterator[Finding]:
    """A node whose kubelet is not running gets no work done."""
    fresh = {host.name for host, _ in new_nodes(cluster, observation)}
    for name, facts in observation.hosts.items():
        service = facts.software.services.get("kubelet")
        if name not in fresh and service is not None and not service.active:
            yield Finding.warning(
                "kubelet-stopped",
                name,
                "its kubelet is not running",
                "`sudo systemctl restart kubelet` there; `journalctl -u kubelet` says why it stopped",
            )
