"""Steps that change hosts whatever their role in the cluster: preparation, runtime, packages, images. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.model.plan import Reason
from provision.providers.kubeadm.host_programs import SYSCTLS
from provision.providers.kubeadm.runtimes import RUNTIMES, runtime_change, runtime_upgrade
from provision.providers.kubeadm.runtimes.docker import DOCKER, kubelet_arguments
from provision.providers.kubeadm.steps import role_vars
from provision.providers.kubeadm.steps.context import reasons_of, step
from provision.providers.kubeadm.systems import package_manager_of
from provision.versions import versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from provision.model.cluster import Cluster, Host
    from provision.model.plan import PlaybookStep
    from provision.providers.kubeadm.facts.host import HostFacts
    from provision.providers.kubeadm.runtimes import Runtime
    from provision.providers.kubeadm.steps.context import PlanContext


def prepare_hosts(context: PlanContext) -> Iterator[PlaybookStep]:
    cluster = context.cluster
    modules = role_vars.kernel_modules(cluster, context.observation)
    yield from step(
        reasons=reasons_of(
            (host.name, _preparation(cluster, host, facts, modules)) for host, facts in context.hosts
        ),
        variables={
            "host_prepare_modules": list(modules),
            "host_prepare_sysctls": dict.fromkeys(SYSCTLS, role_vars.SYSCTL_VALUE),
        },
        host_variables={
            host.name: {
                "host_prepare_hostname": host.name,
                "host_prepare_hosts_entries": role_vars.hosts_entries(cluster, host),
            }
            for host in cluster.hosts
        },
    )


def install_runtime(runtime: Runtime) -> Callable[[PlanContext], Iterable[PlaybookStep]]:
    """What plans the installation of a runtime, on the hosts for which the file asks for it."""

    def plan(context: PlanContext) -> Iterator[PlaybookStep]:
        cluster = context.cluster
        hosts = [
            # On a node that changes to this runtime it is as new as on a host that is no node yet.
            (
                host.name,
                facts,
                context.members.is_member(host.name) and not runtime_change(cluster, host, facts),
            )
            for host, facts in context.hosts
            if cluster.runtime_of(host) == runtime.name
        ]
        yield from step(
            reasons=reasons_of(
                (name, runtime.reasons(cluster, facts, member=member)) for name, facts, member in hosts
            ),
            variables=runtime.variables(cluster),
            host_variables={
                name: values
                for name, facts, member in hosts
                if (values := runtime.host_variables(cluster, facts, member=member))
            },
        )

    return plan


def install_kubernetes(context: PlanContext) -> Iterator[PlaybookStep]:
    cluster = context.cluster
    yield from step(
        reasons=reasons_of(
            (host.name, _packages(cluster, host, facts, member=context.members.is_member(host.name)))
            for host, facts in context.hosts
        ),
        variables=role_vars.package_variables(cluster),
        host_variables={host.name: _package_variables(context, host, facts) for host, facts in context.hosts},
    )


def change_runtimes(context: PlanContext) -> Iterator[PlaybookStep]:
    """Nodes with another runtime than the file asks for, or an older one, or whose change was interrupted."""
    cluster, members = context.cluster, context.members
    changing = {
        host.name: (why, RUNTIMES[cluster.runtime_of(host)], facts, upgrade)
        for host, facts in context.hosts
        if members.is_member(host.name)
        and (why := _runtime_change(cluster, host, facts, upgrade := runtime_upgrade(cluster, host, facts)))
    }
    upgrades = any(upgrade for *_, upgrade in changing.values())
    healthy = [
        host.name for host, facts in context.observation.observed(cluster.control_planes) if facts.is_healthy
    ]
    yield from step(
        reasons=tuple(Reason(name, why) for name, (why, *_) in changing.items()),
        variables={
            **(RUNTIMES[cluster.runtime].variables(cluster) if upgrades else {}),
            "runtime_change_flags": {
                DOCKER.name: [f"--{flag['name']}={flag['value']}" for flag in kubelet_arguments(cluster)]
            },
        },
        through=members.through,
        nodes=tuple(changing),
        host_variables={
            name: {
                "runtime_change_to": runtime.name,
                "runtime_change_upgrade": upgrade is not None,
                "runtime_change_control_plane": next(
                    (one for one in healthy if one != name), members.through
                ),
                **(runtime.host_variables(cluster, facts, member=False) if upgrade else {}),
            }
            for name, (_, runtime, facts, upgrade) in changing.items()
        },
    )


def _runtime_change(cluster: Cluster, host: Host, facts: HostFacts, upgrade: tuple[str, str] | None) -> str:
    """Why the runtime of a node has to be changed or upgraded, or its change continued; "" if not."""
    title = RUNTIMES[cluster.runtime_of(host)].title
    if change := runtime_change(cluster, host, facts):
        found, wanted = change
        return f"runs {found.title}, the file asks for {wanted.title}"
    if upgrade:
        older, newer = upgrade
        return f"runs {title} {older}, the file asks for {newer}"
    return f"its change to {title} was interrupted" if facts.kubernetes.runtime_change_interrupted else ""


def pull_images(context: PlanContext) -> Iterator[PlaybookStep]:
    images = {host.name: _images(context, host) for host, _ in context.hosts}
    runtimes = {host.name: context.cluster.runtime_of(host) for host, _ in context.hosts}
    # crictl is installed with kubeadm, and with Docker and a mirror kubeadm itself is asked for its images.
    after = any(
        images[host.name]
        and (runtimes[host.name] == "crio" or role_vars.docker_mirrors(context.cluster, host))
        for host, _ in context.hosts
    )
    yield from step(
        reasons=tuple(
            Reason(name, f"will need {len(needed)} images") for name, needed in images.items() if needed
        ),
        host_variables={
            host.name: {
                "images_pull": images[host.name],
                "images_runtime": runtimes[host.name],
                **_from_mirror(context.cluster, host),
            }
            for host, _ in context.hosts
        },
        needs=("install-kubernetes",) if after else (),
    )


def _from_mirror(cluster: Cluster, host: Host) -> dict[str, object]:
    mirror = role_vars.docker_mirrors(cluster, host)
    if not mirror:
        return {}
    others = ["coredns", *(["etcd"] if host.role == "control-plane" else [])]
    return {
        "images_mirror": mirror,
        "images_kubeadm": others,
        "images_kubernetes_version": cluster.kubernetes,
    }


def _preparation(cluster: Cluster, host: Host, facts: HostFacts, modules: Iterable[str]) -> Iterator[str]:
    yield from _swap(facts)
    for name in modules:
        module = facts.kernel.modules[name]
        if not module.loaded:
            yield f"{name} is not loaded"
        elif not module.at_boot:
            yield f"{name} is not loaded at boot"
    for name, sysctl in facts.kernel.sysctls.items():
        if sysctl.now and sysctl.now != role_vars.SYSCTL_VALUE:
            yield f"{name} is {sysctl.now}"
        elif sysctl.at_boot != role_vars.SYSCTL_VALUE:
            yield (
                f"{name} is {sysctl.at_boot} at boot ({sysctl.file})"
                if sysctl.at_boot
                else f"{name} is not set at boot"
            )
    yield from _system(facts)
    if facts.machine.hostname != host.name:
        yield f"its host name is {facts.machine.hostname}"
    known = {(entry.address, name) for entry in facts.machine.hosts for name in entry.names}
    for wanted in role_vars.hosts_entries(cluster, host):
        names = wanted["names"]
        if isinstance(names, list) and any((wanted["address"], name) not in known for name in names):
            yield f"/etc/hosts lacks {wanted['address']} {' '.join(names)}"


def _system(facts: HostFacts) -> Iterator[str]:
    """What the distribution brings that needs another setting, or lacks."""
    software = facts.software
    if software.selinux and "container-selinux" not in software.packages:
        yield "container-selinux is not installed"
    for unit in software.rpm.cloud_setup if software.rpm else ():
        yield f"{unit} is enabled"
    manager = software.services.get("NetworkManager")
    if manager is not None and manager.active and not software.unmanaged:
        yield "NetworkManager manages the interfaces of pods"


def _packages(cluster: Cluster, host: Host, facts: HostFacts, *, member: bool) -> Iterator[str]:
    """Why packages must be installed; another version on a node is a matter of an upgrade."""
    for name in package_manager_of(facts).kubernetes_packages:
        package = facts.software.packages.get(name)
        if package is None:
            yield f"{name} is not installed"
        elif package.upstream != cluster.kubernetes and not member:
            yield f"{name} is {package.upstream}, {cluster.kubernetes} is wanted"
        else:
            yield from package.state(name)
    if _needs_crictl(cluster, host) and "cri-tools" not in facts.software.packages:
        yield "crictl is not installed"


def _needs_crictl(cluster: Cluster, host: Host) -> bool:
    """Packages of kubeadm do not bring it since 1.32; containerd and Docker have clients of their own."""
    return cluster.runtime_of(host) == "crio"


def _swap(facts: HostFacts) -> Iterator[str]:
    swap = facts.machine.swap
    origins: dict[str, str] = {}
    for source in swap.sources:
        # zram-generator also makes a unit, which says less.
        if not origins.get(source.path, "").startswith("zram"):
            origins[source.path] = source.origin
    for path in swap.active:
        yield f"swap is on ({path}, from {origins.pop(path)})" if path in origins else f"swap is on ({path})"
    for path, origin in origins.items():
        yield f"swap would be on after a reboot ({path + ', ' if path else ''}from {origin})"


def _images(context: PlanContext, host: Host) -> list[str]:
    """What a host is about to run; [] if it has all of it already."""
    cluster, members, found = context.cluster, context.members, context.observation.cluster
    installed = found.calico_version if found and found.has_network and members.initialise is None else ""
    facts = context.observation.hosts[host.name]
    new = not members.is_member(host.name) or runtime_change(cluster, host, facts) is not None
    images: list[str] = []
    if new:  # in the order of use: kubeadm waits for the first ones
        images += role_vars.control_plane_images(cluster) if host.role == "control-plane" else []
        images += role_vars.node_images(cluster)
    if new or (found is not None and not found.has_network):
        images += role_vars.calico_images(installed or role_vars.calico_tag(cluster))
    if context.smoke and not members.is_member(host.name):
        images.append(versions().smoke_test.image)
    return images


def _package_variables(context: PlanContext, host: Host, facts: HostFacts) -> dict[str, object]:
    variables: dict[str, object] = {"kube_packages_login_user": facts.machine.login}
    if _needs_crictl(context.cluster, host):
        variables["kube_packages_crictl"] = True
    kubelet = facts.software.packages.get("kubelet")
    if kubelet and context.members.is_member(host.name):
        variables["kube_packages_version"] = kubelet.upstream  # a node keeps the version that it has
    return variables
