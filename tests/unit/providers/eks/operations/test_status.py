from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from provision.providers.eks.aws.kube_api import KubeNode
from provision.providers.eks.facts import HealthIssue, Observation
from provision.providers.eks.operations import status as operation
from provision.providers.eks.steps.catalogue import apply_plan as plan
from provision.report.tables import status_text
from tests.unit.providers.eks import factories, plan_factories

if TYPE_CHECKING:
    from provision.model.eks import EksCluster
    from provision.model.status import Status

FEW = factories.cluster()


def status(cluster: EksCluster, seen: Observation, nodes: Sequence[KubeNode] | None = None) -> Status:
    return operation.status(cluster, seen, plan(cluster, seen), nodes)


def node(name: str, group: str = "workers", *, ready: bool = True) -> KubeNode:
    return KubeNode(
        name=name,
        ready=ready,
        message="" if ready else "its kubelet has not reported yet",
        cordoned=False,
        version="v1.35.2-eks-1",
        runtime="containerd://2.1.5",
        address="192.168.96.10",
        node_group=group,
        fargate=False,
    )


def test_a_cluster_as_its_file_says_is_healthy() -> None:
    found = status(FEW, plan_factories.whole(FEW), (node("ip-1"), node("ip-2")))
    assert found.healthy
    assert [one.name for one in found.nodes] == ["ip-1", "ip-2"]
    assert {part.name: part.ready for part in found.workloads} == {addon.name: 1 for addon in FEW.addons}
    assert found.drift == ()


def test_without_the_api_server_node_groups_stand_for_their_nodes() -> None:
    found = status(FEW, plan_factories.whole(FEW))
    assert found.healthy
    assert [(one.name, one.version, one.runtime) for one in found.nodes] == [
        ("workers", "v1.35", "2 x m7i.large")
    ]


def test_a_node_that_is_missing_or_not_ready_makes_it_unwell() -> None:
    seen = plan_factories.whole(FEW)
    assert not status(FEW, seen, (node("ip-1"),)).healthy
    assert not status(FEW, seen, (node("ip-1"), node("ip-2", ready=False))).healthy


def test_a_failed_node_group_says_what_aws_says() -> None:
    seen = plan_factories.whole(FEW)
    issue = HealthIssue(code="NodeCreationFailure", message="instances failed to join", resources=("i-1",))
    seen = replace(seen, node_groups=(replace(seen.node_groups[0], status="CREATE_FAILED", health=(issue,)),))

    found = status(FEW, seen)

    assert not found.healthy
    assert found.nodes[0].message == "CREATE_FAILED: NodeCreationFailure: instances failed to join (i-1)"
    assert found.drift[0].step == "node-groups"


def test_a_degraded_add_on_makes_it_unwell() -> None:
    seen = plan_factories.whole(FEW)
    addons = tuple(replace(one, status="DEGRADED") if one.name == "coredns" else one for one in seen.addons)
    assert not status(FEW, replace(seen, addons=addons)).healthy


def test_a_cluster_that_is_not_there_is_said_and_planned() -> None:
    found = status(FEW, factories.nothing())
    assert "not running (the account has no such cluster)" in status_text(found)
    assert found.drift[0].step == "network"
