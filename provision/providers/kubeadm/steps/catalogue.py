"""Every step that provider kubeadm knows, in order: the one list that plans, execution, `site.yml` and docs follow.

Nodes that leave come first, so that a replacement frees a name before the new machine takes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial

from provision.engine.catalogue import Catalogue, StepType
from provision.model.cluster import Cluster
from provision.model.plan import PlaybookStep
from provision.providers.kubeadm.runtimes import RUNTIMES
from provision.providers.kubeadm.steps import cluster, endpoint, firewall, hosts, leaving
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


def _type(
    name: str,
    summary: str,
    plan: Callable[[PlanContext], Iterable[PlaybookStep]],
    *needs: str,
    playbook: str = "",
    creates: bool = True,
) -> PlaybookStepType:
    return PlaybookStepType(
        name=name, summary=summary, plan=plan, needs=needs, playbook=playbook, creates=creates
    )


# When nodes leave or something changes: no cluster is created with it.
_later = partial(_type, creates=False)
_WORKERS, _PLANES = "reset-workers", "reset-control-planes"
_LEAVE = (
    _later("drain-nodes", "Move the pods to other nodes", leaving.drain_nodes),
    _later(
        "remove-etcd-members",
        "Save an etcd snapshot and remove the leaving members",
        leaving.remove_etcd_members,
        "drain-nodes",
    ),
    _later(
        "delete-nodes",
        "Delete the nodes from the cluster",
        leaving.delete_nodes,
        "drain-nodes",
        "remove-etcd-members",
    ),
    _later(
        "reset-hosts",
        "Reset hosts: nothing of Kubernetes stays, the preparation is undone",
        leaving.reset_hosts,
        "delete-nodes",
    ),
    _later(_WORKERS, "Reset the workers", leaving.reset_workers, playbook=leaving.RESET_PLAYBOOK),
    _later(
        _PLANES,
        "Reset the control planes but the last",
        leaving.reset_control_planes,
        _WORKERS,
        playbook=leaving.RESET_PLAYBOOK,
    ),
    _later(
        "reset-last-control-plane",
        "Reset the last control plane",
        leaving.reset_last_control_plane,
        _WORKERS,
        _PLANES,
        playbook=leaving.RESET_PLAYBOOK,
    ),
)
_DEFAULT_RUNTIME = Cluster.model_fields["runtime"].default
_RUNTIMES = {f"install-{runtime.name}": runtime for runtime in RUNTIMES.values()}
_LEFT = ("delete-nodes", "reset-hosts")
_HOSTS = (
    # Not part of site.yml: what to open is computed from the whole cluster.
    _later(
        "open-firewall",
        "Open the hosts' firewalls for the members of the cluster",
        firewall.open_firewall,
        *_LEFT,
    ),
    _type("prepare-hosts", "Prepare hosts: swap off, kernel modules, sysctls, names", hosts.prepare_hosts),
    *(
        _type(
            name,
            f"Install and configure {one.title}",
            hosts.install_runtime(one),
            "prepare-hosts",
            creates=one.name == _DEFAULT_RUNTIME,  # plain ansible-playbook installs one runtime
        )
        for name, one in _RUNTIMES.items()
    ),
    _type(
        "install-kubernetes",
        "Install kubeadm, kubelet and kubectl",
        hosts.install_kubernetes,
        *_RUNTIMES,
    ),
    _type("pull-images", "Pull images ahead of their use", hosts.pull_images, *_RUNTIMES),
)
_ENDPOINT = (
    _type(
        "install-endpoint",
        "Install the API server load balancer on every node",
        endpoint.install_endpoint,
        "open-firewall",
        "prepare-hosts",
        *_LEFT,
    ),
    _later(
        "update-endpoint",
        "Update the API server endpoint everywhere",
        endpoint.update_endpoint,
        "install-endpoint",
        *_LEFT,
    ),
    _later(
        "remove-endpoint",
        "Remove load balancers that are no longer in use",
        endpoint.remove_endpoint,
        "update-endpoint",
    ),
)
_INIT = "init-control-plane"
_READY_HOSTS = ("open-firewall", "install-kubernetes", "install-endpoint")
_JOIN_NEEDS = ("remove-etcd-members", "delete-nodes", _INIT, *_READY_HOSTS, "update-endpoint")
_JOINS = {
    "join-control-planes": ("Join further control planes, one after the other", cluster.join_control_planes),
    "join-workers": ("Join workers", cluster.join_workers),
}
_CLUSTER = (
    _type(_INIT, "Initialise the first control plane", cluster.init_control_plane, *_READY_HOSTS),
    _type("install-network", "Install the pod network (Calico)", cluster.install_network, _INIT),
    *(_type(name, summary, plan, *_JOIN_NEEDS) for name, (summary, plan) in _JOINS.items()),
    _later(
        "change-runtimes",
        "Change the container runtime of nodes, one after the other",
        hosts.change_runtimes,
        *_RUNTIMES,
        "pull-images",
        *_JOINS,
    ),
    _type("label-nodes", "Label and taint nodes", cluster.label_nodes, _INIT, *_JOINS),
)
_CHANGES = (*_LEAVE, *_HOSTS, *_ENDPOINT, *_CLUSTER)
_PROOF = (
    _type(
        "wait-ready",
        "Wait until the nodes are ready",
        cluster.wait_ready,
        *(one.name for one in _CHANGES),
    ),
    _type("smoke-test", "Test DNS and Services across nodes", cluster.smoke_test, "wait-ready"),
)


def _advance(context: PlanContext, step: PlaybookStep) -> PlanContext:
    return replace(context, planned=(*context.planned, step.name))


CATALOGUE: Catalogue[PlanContext, PlaybookStep] = Catalogue((*_CHANGES, *_PROOF), _advance)
