"""Every step that provider kubeadm knows, in order: the one list that plans, execution, `site.yml` and docs follow.

Nodes that leave come first, so that a replacement frees a name before the new machine takes it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from provision.engine.catalogue import Catalogue, StepType
from provision.model.plan import PlaybookStep
from provision.providers.kubeadm.runtimes import RUNTIMES
from provision.providers.kubeadm.steps import cluster, endpoint, hosts, leaving
from provision.providers.kubeadm.steps.context import PlanContext


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaybookStepType(StepType[PlanContext, PlaybookStep]):
    """A type whose steps are playbook runs.

    `playbook` is a file stem below playbooks/, by default the name. `creates`: part of making a cluster of fresh hosts,
    so that `site.yml` has it.
    """

    playbook: str = ""
    creates: bool = True

    def complete(self, step: PlaybookStep, needs: tuple[str, ...]) -> PlaybookStep:
        completed = StepType.complete(self, step, needs)
        return replace(completed, playbook=self.playbook or self.name)


_Type = PlaybookStepType
_RUNTIMES = tuple(f"install-{name}" for name in RUNTIMES)
_LEAVE = (
    _Type(
        name="drain-nodes", summary="Move the pods to other nodes", creates=False, plan=leaving.drain_nodes
    ),
    _Type(
        name="remove-etcd-members",
        summary="Save an etcd snapshot and remove the leaving members",
        needs=("drain-nodes",),
        creates=False,
        plan=leaving.remove_etcd_members,
    ),
    _Type(
        name="delete-nodes",
        summary="Delete the nodes from the cluster",
        needs=("drain-nodes", "remove-etcd-members"),
        creates=False,
        plan=leaving.delete_nodes,
    ),
    _Type(
        name="reset-hosts",
        summary="Reset hosts: nothing of Kubernetes stays, the preparation is undone",
        needs=("delete-nodes",),
        creates=False,
        plan=leaving.reset_hosts,
    ),
    _Type(
        name="reset-workers",
        summary="Reset the workers",
        playbook=leaving.RESET_PLAYBOOK,
        creates=False,
        plan=leaving.reset_part(leaving.workers),
    ),
    _Type(
        name="reset-control-planes",
        summary="Reset the control planes but the last",
        playbook=leaving.RESET_PLAYBOOK,
        needs=("reset-workers",),
        creates=False,
        plan=leaving.reset_part(leaving.control_planes_but_last),
    ),
    _Type(
        name="reset-last-control-plane",
        summary="Reset the last control plane",
        playbook=leaving.RESET_PLAYBOOK,
        needs=("reset-workers", "reset-control-planes"),
        creates=False,
        plan=leaving.reset_part(leaving.last_control_plane),
    ),
)
_HOSTS = (
    _Type(
        name="prepare-hosts",
        summary="Prepare hosts: swap off, kernel modules, sysctls, names",
        plan=hosts.prepare_hosts,
    ),
    *(
        _Type(
            name=f"install-{runtime.name}",
            summary=f"Install and configure {runtime.name}",
            needs=("prepare-hosts",),
            plan=hosts.install_runtime(runtime),
        )
        for runtime in RUNTIMES.values()
    ),
    _Type(
        name="install-kubernetes",
        summary="Install kubeadm, kubelet and kubectl",
        needs=_RUNTIMES,
        plan=hosts.install_kubernetes,
    ),
    _Type(
        name="pull-images", summary="Pull images ahead of their use", needs=_RUNTIMES, plan=hosts.pull_images
    ),
)
_ENDPOINT = (
    _Type(
        name="install-endpoint",
        summary="Install the API server load balancer on every node",
        needs=("prepare-hosts", "delete-nodes", "reset-hosts"),
        plan=endpoint.install_endpoint,
    ),
    _Type(
        name="update-endpoint",
        summary="Update the API server endpoint everywhere",
        needs=("install-endpoint", "delete-nodes", "reset-hosts"),
        creates=False,
        plan=endpoint.update_endpoint,
    ),
    _Type(
        name="remove-endpoint",
        summary="Remove load balancers that are no longer in use",
        needs=("update-endpoint",),
        creates=False,
        plan=endpoint.remove_endpoint,
    ),
)
_JOIN_NEEDS = (
    "remove-etcd-members",
    "delete-nodes",
    "init-control-plane",
    "install-kubernetes",
    "install-endpoint",
    "update-endpoint",
)
_CLUSTER = (
    _Type(
        name="init-control-plane",
        summary="Initialise the first control plane",
        needs=("install-kubernetes", "install-endpoint"),
        plan=cluster.init_control_plane,
    ),
    _Type(
        name="install-network",
        summary="Install the pod network (Calico)",
        needs=("init-control-plane",),
        plan=cluster.install_network,
    ),
    _Type(
        name="join-control-planes",
        summary="Join further control planes, one after the other",
        needs=_JOIN_NEEDS,
        plan=cluster.join_control_planes,
    ),
    _Type(name="join-workers", summary="Join workers", needs=_JOIN_NEEDS, plan=cluster.join_workers),
    _Type(
        name="label-nodes",
        summary="Label and taint nodes",
        needs=("init-control-plane", "join-control-planes", "join-workers"),
        plan=cluster.label_nodes,
    ),
)
_CHANGES = (*_LEAVE, *_HOSTS, *_ENDPOINT, *_CLUSTER)
_PROOF = (
    _Type(
        name="wait-ready",
        summary="Wait until the nodes are ready",
        needs=tuple(one.name for one in _CHANGES),
        plan=cluster.wait_ready,
    ),
    _Type(
        name="smoke-test",
        summary="Test DNS and Services across nodes",
        needs=("wait-ready",),
        plan=cluster.smoke_test,
    ),
)


def _advance(context: PlanContext, step: PlaybookStep) -> PlanContext:
    return replace(context, planned=(*context.planned, step.name))


CATALOGUE: Catalogue[PlanContext, PlaybookStep] = Catalogue((*_CHANGES, *_PROOF), _advance)
