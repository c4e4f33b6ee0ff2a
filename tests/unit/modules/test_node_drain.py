"""Moving pods off a node, against an API that keeps objects in memory; the real one is asked on the lab."""

from __future__ import annotations

import json
from typing import Any

from .conftest import library

node_drain = library("node_drain")
node_delete = library("node_delete")
host = library("provision_host")
WANTED = {"nodes": ["w1"], "state": "drained", "seconds": 10, "force": False}


class Cluster:
    """Nodes and pods; an evicted pod ends at the second look after that. `held` names pods that a budget holds."""

    def __init__(self, *pods: dict[str, Any], **node: Any) -> None:
        self.node: dict[str, Any] | None = {"metadata": {"name": "w1", "annotations": {}}, "spec": {}, **node}
        self.pods = list(pods)
        self.held: dict[str, str] = {}
        self.evicted: list[str] = []

    def get(self, path: str) -> Any:
        if path == "/api/v1/nodes/w1":
            return self.node
        if path == "/api/v1/pods?fieldSelector=spec.nodeName%3Dw1":
            gone = [pod for pod in self.pods if "deletionTimestamp" in pod["metadata"]]
            answer = {"items": json.loads(json.dumps(self.pods))}
            self.pods = [pod for pod in self.pods if pod not in gone]
            return answer
        return None

    def merge(self, path: str, body: dict[str, Any]) -> None:
        assert path == "/api/v1/nodes/w1"
        assert self.node is not None
        for part, values in body.items():
            below = self.node[part]
            below.update({key: value for key, value in values.items() if key != "annotations"})
            for key, value in values.get("annotations", {}).items():
                below["annotations"][key] = value
                if value is None:
                    del below["annotations"][key]

    def delete(self, path: str) -> bool:
        assert path == "/api/v1/nodes/w1"
        self.node = None
        return True

    def request(self, method: str, path: str, body: str) -> tuple[int, Any]:
        assert method == "POST"
        name = json.loads(body)["metadata"]["name"]
        assert path == f"/api/v1/namespaces/default/pods/{name}/eviction"
        if name in self.held:
            return 429, {"message": "Cannot evict pod", "details": {"causes": [{"message": self.held[name]}]}}
        self.evicted.append(name)
        next(pod for pod in self.pods if pod["metadata"]["name"] == name)["metadata"]["deletionTimestamp"] = (
            "x"
        )
        return 201, {}


def pod(name: str, owner: str | None = "ReplicaSet", **status: Any) -> dict[str, Any]:
    owners = [{"kind": owner, "controller": True}] if owner else []
    metadata = {"namespace": "default", "name": name, "ownerReferences": owners}
    return {"metadata": metadata, "status": {"phase": "Running", **status}}


def static(name: str) -> dict[str, Any]:
    found = pod(name, "Node")
    found["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
    return found


def work(cluster: Cluster, **wanted: Any) -> tuple[dict[str, Any], list[str]]:
    """One piece of work on a clock that goes on by a second at every look."""
    seconds = iter(range(1000))
    changes = host.Changes()
    result = node_drain.provide(
        {**WANTED, **wanted}, changes, api=cluster, clock=lambda: next(seconds), sleep=lambda _: None
    )
    return result, changes.sentences


def test_pods_are_evicted_and_waited_for_and_daemons_static_and_finished_ones_stay() -> None:
    cluster = Cluster(
        pod("web"), pod("agent", "DaemonSet"), static("etcd"), pod("job", "Job", phase="Succeeded")
    )

    result, sentences = work(cluster)

    assert result == {"drained": True, "msg": ""}
    assert sentences == ["cordoned w1", "evicted default/web from w1"]
    assert cluster.evicted == ["web"]
    assert cluster.node is not None
    assert cluster.node["spec"]["unschedulable"] is True


def test_a_budget_that_holds_a_pod_is_named_and_the_others_move() -> None:
    cluster = Cluster(pod("web"), pod("db"))
    cluster.held["db"] = "The disruption budget db needs 2 healthy pods and has 2 currently"

    result, _ = work(cluster)

    assert result == {
        "drained": False,
        "msg": "w1: default/db is held by its PodDisruptionBudget: The disruption budget db needs 2 healthy pods "
        "and has 2 currently",
    }
    assert cluster.evicted == ["web"]


def test_a_pod_that_would_be_lost_is_left_unless_forced() -> None:
    cluster = Cluster(pod("debug", None))

    result, _ = work(cluster)
    forced, _ = work(cluster, force=True)

    assert result["drained"] is False
    assert "default/debug has no controller" in result["msg"]
    assert (forced["drained"], cluster.evicted) == (True, ["debug"])


def test_a_refusal_of_another_kind_is_told_with_its_status() -> None:
    cluster = Cluster(pod("web"))
    cluster.request = lambda *_: (500, {"message": "more than one PodDisruptionBudget"})  # type: ignore[method-assign]

    result, _ = work(cluster)

    assert "cannot be evicted (status 500): more than one PodDisruptionBudget" in result["msg"]


def test_uncordoned_a_node_is_as_it_was_and_one_that_its_administrator_cordoned_stays_so() -> None:
    ours, theirs = Cluster(), Cluster(spec={"unschedulable": True})

    for cluster in (ours, theirs):
        work(cluster)
        work(cluster, state="uncordoned")

    assert ours.node == {"metadata": {"name": "w1", "annotations": {}}, "spec": {"unschedulable": None}}
    assert theirs.node is not None
    assert theirs.node["spec"] == {"unschedulable": True}


def test_a_node_that_is_not_there_is_done() -> None:
    cluster = Cluster()
    cluster.node = None

    assert work(cluster) == ({"drained": True, "msg": ""}, [])
    assert work(cluster, state="uncordoned")[1] == []


def test_a_node_is_deleted_once() -> None:
    cluster, changes = Cluster(), host.Changes()

    for _ in range(2):
        node_delete.provide({"nodes": ["w1"]}, changes, api=cluster)

    assert changes.sentences == ["deleted the node w1"]
