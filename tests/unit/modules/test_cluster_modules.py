"""Modules that talk to the cluster; its answers are stood for by dictionaries, the real ones by the lab."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import Programs, library

calico = library("calico_manifest")
cluster_ready = library("cluster_ready")
images_pull = library("images_pull")
node_labels = library("node_labels")
smoke_test = library("smoke_test")
api = library("provision_api")
host = library("provision_host")

MANIFEST = """---
# only a comment
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: calico-config
  namespace: kube-system
data:
  calico_backend: "vxlan"
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  annotations:
    name: not-this-one
  name: ippools.crd.projectcalico.org
---
apiVersion: apps/v1
kind: DaemonSet
metadata:
  labels:
    k8s-app: calico-node
  name: calico-node
  namespace: kube-system
spec:
            - name: IP
              value: "autodetect"
            - name: CALICO_IPV4POOL_IPIP
              value: "Never"
            - name: CALICO_IPV4POOL_VXLAN
              value: "CrossSubnet"
            # - name: CALICO_IPV4POOL_CIDR
            #   value: "192.168.0.0/16"
            # Disable file logging
            - name: FELIX_HEALTHENABLED
              value: "true"
          livenessProbe:
            exec:
              command:
                - /bin/calico-node
                - -felix-live
            periodSeconds: 10
          readinessProbe:
            exec:
              command:
                - /bin/calico-node
                - -felix-ready
            periodSeconds: 10
"""
NETWORK = {"pod_cidr": "10.244.0.0/16", "encapsulation": "vxlan", "dataplane": "iptables"}


def test_pod_range_and_encapsulation_replace_exactly_their_lines() -> None:
    text = calico.configured(MANIFEST, NETWORK)

    assert '            - name: CALICO_IPV4POOL_CIDR\n              value: "10.244.0.0/16"\n' in text
    assert 'CALICO_IPV4POOL_VXLAN\n              value: "Always"' in text
    assert len(text.splitlines()) == len(MANIFEST.splitlines()) + 2


def test_a_nodes_address_is_the_one_that_the_kubelet_told() -> None:
    text = calico.configured(MANIFEST, NETWORK)

    method = '            - name: IP_AUTODETECTION_METHOD\n              value: "kubernetes-internal-ip"\n'
    assert f'            - name: IP\n              value: "autodetect"\n{method}' in text


def test_felix_uses_nftables_where_kube_proxy_does() -> None:
    text = calico.configured(MANIFEST, {**NETWORK, "dataplane": "nftables"})
    mode = '            - name: FELIX_NFTABLESMODE\n              value: "Enabled"\n'
    assert f"{mode}            - name: FELIX_HEALTHENABLED\n" in text
    assert "NFTABLESMODE" not in calico.configured(MANIFEST, NETWORK)


def test_the_kubelet_asks_felix_itself() -> None:
    probes = calico.configured(MANIFEST, NETWORK).partition("          livenessProbe")
    found = yaml.safe_load("".join(probes[1:]))

    address = {"host": "127.0.0.1", "port": 9099}
    assert found == {
        "livenessProbe": {"httpGet": {**address, "path": "/liveness"}, "periodSeconds": 10},
        "readinessProbe": {"httpGet": {**address, "path": "/readiness"}, "periodSeconds": 2},
    }


def test_probes_that_ask_bird_too_stay_programs() -> None:
    both = MANIFEST.replace('"vxlan"', '"bird"').replace(
        "- -felix-live\n", "- -felix-live\n                - -bird-live\n"
    )

    text = calico.configured(both, {**NETWORK, "encapsulation": "ipip"})

    assert "httpGet" not in text
    assert "- -bird-live" in text


@pytest.mark.parametrize(
    ("endpoint", "address"),
    [("10.0.0.11:6443", "10.0.0.11"), ("[fd00::1]:6443", "fd00::1"), ("k8s:6443", "k8s")],
)
def test_the_node_agents_reach_the_api_server_without_kube_proxy(endpoint: str, address: str) -> None:
    data = calico.endpoint_data(endpoint)

    assert data == {"KUBERNETES_SERVICE_HOST": address, "KUBERNETES_SERVICE_PORT": "6443"}
    assert "  name: kubernetes-services-endpoint\n" in calico._config_map(
        "kubernetes-services-endpoint", data
    )


def test_a_manifest_that_fits_twice_is_refused() -> None:
    with pytest.raises(host.HostError, match="fits 2 times, not once"):
        calico.configured(MANIFEST + MANIFEST, NETWORK)


def test_an_encapsulation_needs_the_manifest_with_its_backend() -> None:
    with pytest.raises(host.HostError, match="encapsulation ipip needs a manifest with the backend bird"):
        calico.configured(MANIFEST, {**NETWORK, "encapsulation": "ipip"})


def test_every_object_has_its_path_in_the_api() -> None:
    assert [path for path, _ in calico.split(MANIFEST)] == [
        "/api/v1/namespaces/kube-system/configmaps/calico-config",
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/ippools.crd.projectcalico.org",
        "/apis/apps/v1/namespaces/kube-system/daemonsets/calico-node",
    ]


def test_a_manifest_with_another_digest_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "calico.yaml"
    path.write_text(MANIFEST, encoding="utf-8")
    digest = hashlib.sha256(MANIFEST.encode()).hexdigest()

    assert calico.fetch(path.as_uri(), digest) == MANIFEST
    with pytest.raises(
        host.HostError, match=f"has the digest sha256:{digest}, but sha256:{'0' * 64} is expected"
    ):
        calico.fetch(path.as_uri(), "0" * 64)


def test_the_pod_range_of_a_cluster_cannot_be_changed() -> None:
    with pytest.raises(host.HostError, match=r"pod range of this cluster is 10\.1\.0\.0/16"):
        calico._refuse_other_network({"pod_cidr": "10.1.0.0/16"}, NETWORK)


def node(**labels: str) -> dict[str, Any]:
    return {"metadata": {"name": "w1", "labels": labels}, "spec": {}}


def test_only_labels_that_differ_are_set() -> None:
    assert node_labels.missing_labels(node(disk="ssd"), {"disk": "ssd", "rack": "7"}) == {"rack": "7"}


def test_taints_of_others_stay() -> None:
    tainted = {**node(), "spec": {"taints": [{"key": "other", "effect": "NoSchedule", "timeAdded": "x"}]}}

    taints = node_labels.merged_taints(tainted, ["dedicated=db:NoSchedule"])

    assert taints == [
        {"key": "other", "effect": "NoSchedule", "timeAdded": "x"},
        {"key": "dedicated", "value": "db", "effect": "NoSchedule"},
    ]


def test_a_taint_that_is_there_changes_nothing() -> None:
    tainted = {**node(), "spec": {"taints": [{"key": "a", "effect": "NoExecute", "timeAdded": "x"}]}}

    assert node_labels.merged_taints(tainted, ["a:NoExecute"]) is None


def marked(labels: dict[str, str], taints: list[str], *, mine: dict[str, list[str]] | None) -> dict[str, Any]:
    """A node with these; `mine` is what an earlier run has remembered as the file's."""
    entries = [dict(zip(("key", "effect"), taint.split(":"), strict=True)) for taint in taints]
    annotations = {} if mine is None else {"provision/marks": json.dumps(mine)}
    return {
        "metadata": {"name": "w1", "labels": labels, "annotations": annotations},
        "spec": {"taints": entries},
    }


def test_what_the_file_no_longer_has_is_taken_off_and_what_others_set_stays() -> None:
    node = marked(
        {"disk": "ssd", "theirs": "x"},
        ["only:NoSchedule", "theirs:NoExecute"],
        mine={"labels": ["disk", "gone-already"], "taints": ["only:NoSchedule"]},
    )

    sentences, patch = node_labels.difference("w1", node, {}, [])

    assert sentences == ["took the label disk off w1", "took taints off w1"]
    assert patch == {
        "metadata": {"labels": {"disk": None}, "annotations": {"provision/marks": None}},
        "spec": {"taints": [{"key": "theirs", "effect": "NoExecute"}]},
    }


def test_labels_and_taints_of_others_are_never_taken_off() -> None:
    node = marked({"theirs": "x"}, ["theirs:NoExecute"], mine=None)

    assert node_labels.difference("w1", node, {}, []) == ([], {})


def test_what_is_asked_for_is_remembered_and_then_nothing_is_left_to_do() -> None:
    node = marked({}, [], mine=None)

    _, patch = node_labels.difference("w1", node, {"disk": "ssd"}, ["only=db:NoSchedule"])
    node["metadata"]["labels"].update(patch["metadata"]["labels"])
    node["metadata"]["annotations"].update(patch["metadata"]["annotations"])
    node["spec"] = patch["spec"]

    assert node_labels.remembered(node) == {"labels": ["disk"], "taints": ["only:NoSchedule"]}
    assert node_labels.difference("w1", node, {"disk": "ssd"}, ["only=db:NoSchedule"]) == ([], {})


@pytest.mark.parametrize("text", ["not json", "[]", '{"labels": 7}', "null"])
def test_an_annotation_that_somebody_broke_counts_for_nothing(text: str) -> None:
    node = marked({"disk": "ssd"}, [], mine=None)
    node["metadata"]["annotations"]["provision/marks"] = text

    assert node_labels.remembered(node) == {"labels": [], "taints": []}


@pytest.mark.parametrize("text", ["a", "a=b", "a:Sometimes", ":NoSchedule"])
def test_what_is_no_taint_is_refused(text: str) -> None:
    with pytest.raises(host.HostError, match="is no taint"):
        node_labels.merged_taints(node(), [text])


class Cluster:
    """Answers GET from a dictionary."""

    def __init__(self, **objects: Any) -> None:
        self.objects = objects

    def get(self, path: str) -> Any:
        return self.objects.get(path.partition("?")[0].rpartition("/")[2])


def condition(kind: str, status: str, message: str = "") -> dict[str, Any]:
    return {"conditions": [{"type": kind, "status": status, "message": message}]}


def ready_cluster() -> dict[str, Any]:
    daemons = {"status": {"desiredNumberScheduled": 1, "numberReady": 1, "updatedNumberScheduled": 1}}
    deployment = {
        "metadata": {"generation": 1},
        "spec": {"replicas": 2},
        "status": {"observedGeneration": 1, "availableReplicas": 2},
    }
    return {
        "nodes": {"items": [{"metadata": {"name": "cp1"}, "status": condition("Ready", "True")}]},
        "calico-node": daemons,
        "kube-proxy": daemons,
        "calico-kube-controllers": deployment,
        "coredns": deployment,
        "pods": {
            "items": [controller("kube-controller-manager", "True"), controller("kube-scheduler", "True")]
        },
    }


def controller(component: str, ready: str) -> dict[str, Any]:
    return {
        "metadata": {"name": f"{component}-cp1", "labels": {"component": component}},
        "spec": {"nodeName": "cp1"},
        "status": condition("Ready", ready),
    }


def test_a_ready_cluster_lacks_nothing() -> None:
    assert list(cluster_ready.unready(Cluster(**ready_cluster()), ["cp1"])) == []


@pytest.mark.parametrize(
    ("part", "becomes", "missing"),
    [
        ("nodes", {"items": []}, "node cp1 is not there"),
        (
            "nodes",
            {"items": [{"metadata": {"name": "cp1"}, "status": condition("Ready", "False", "no CNI")}]},
            "node cp1: no CNI",
        ),
        ("calico-node", None, "calico-node is not installed"),
        (
            "kube-proxy",
            {"status": {"desiredNumberScheduled": 2, "numberReady": 1, "updatedNumberScheduled": 2}},
            "kube-proxy is ready on 1 of 2 nodes",
        ),
        ("coredns", None, "coredns is not available"),
        (
            "pods",
            {"items": [controller("kube-scheduler", "False")]},
            "kube-scheduler is not ready on cp1",
        ),
    ],
)
def test_what_is_missing_is_named(part: str, becomes: Any, missing: str) -> None:
    cluster = Cluster(**{**ready_cluster(), part: becomes})

    assert missing in list(cluster_ready.unready(cluster, ["cp1"]))


def test_a_daemon_on_fewer_nodes_than_there_are_is_not_ready() -> None:
    cluster = ready_cluster()
    cluster["nodes"]["items"].append({"metadata": {"name": "w1"}, "status": condition("Ready", "True")})

    assert "calico-node is ready on 1 of 2 nodes" in list(cluster_ready.unready(Cluster(**cluster), ["cp1"]))


def test_of_new_nodes_alone_only_they_and_their_daemons_are_waited_for() -> None:
    class Nodes(Cluster):
        def get(self, path: str) -> Any:
            return self.objects.get(path)

    def pod(app: str, status: str) -> dict[str, Any]:
        return {"metadata": {"name": app, "labels": {"k8s-app": app}}, "status": condition("Ready", status)}

    pods = "/api/v1/namespaces/kube-system/pods?fieldSelector=spec.nodeName%3D"
    cluster = Nodes(
        **{
            "/api/v1/nodes/w2": {"metadata": {"name": "w2"}, "status": condition("Ready", "True")},
            f"{pods}w2": {"items": [pod("calico-node", "True"), pod("kube-proxy", "True")]},
            "/api/v1/nodes/w3": {"metadata": {"name": "w3"}, "status": condition("Ready", "False", "no CNI")},
            f"{pods}w3": {"items": [pod("calico-node", "False"), pod("kube-proxy", "True")]},
        }
    )

    assert list(cluster_ready.unready_nodes(cluster, ["w2"])) == []
    assert list(cluster_ready.unready_nodes(cluster, ["w3", "w4"])) == [
        "node w3: no CNI",
        "calico-node is not ready on w3",
        "node w4 is not there",
    ]


def test_an_api_server_that_does_not_answer_for_a_while_is_waited_for() -> None:
    cluster = Cluster(**ready_cluster())
    answers = [api.UnansweredError("the API server at 10.0.0.11:6443 does not answer", refused=True), None]

    class Restarting:
        def get(self, path: str) -> Any:
            if answers and (answer := answers.pop(0)):
                raise answer
            return cluster.get(path)

    found = cluster_ready.wait(
        {"nodes": ["cp1"], "timeout": 600, "whole": True},
        host.Changes(),
        api=Restarting(),
        clock=iter([0.0, 1.0, 3.0]).__next__,
        sleep=lambda _: None,
    )

    assert found == {"seconds": 3.0}


def test_one_that_stays_away_is_what_is_missing() -> None:
    class Gone:
        def get(self, _path: str) -> Any:
            raise api.UnansweredError("the API server at 10.0.0.11:6443 does not answer", refused=True)

    with pytest.raises(host.HostError, match=r"not ready after 600 s: the API server at .* does not answer"):
        cluster_ready.wait(
            {"nodes": ["cp1"], "timeout": 600, "whole": True},
            host.Changes(),
            api=Gone(),
            clock=iter([0.0, 1.0, 700.0]).__next__,
            sleep=lambda _: None,
        )


def test_a_time_out_names_the_pod_its_reason_and_its_last_event() -> None:
    waiting = {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}}
    pod = {
        "metadata": {"name": "calico-node-x"},
        "spec": {"nodeName": "cp1"},
        "status": {**condition("Ready", "False"), "initContainerStatuses": [waiting]},
    }
    events = {"items": [{"lastTimestamp": "1", "message": "old"}, {"lastTimestamp": "2", "message": "new"}]}
    cluster = Cluster(**{**ready_cluster(), "coredns": None, "pods": {"items": [pod]}, "events": events})
    clock = iter([0.0, 1.0, 700.0])

    with pytest.raises(host.HostError, match="not ready after 600 s: coredns is not available") as failure:
        cluster_ready.wait(
            {"nodes": ["cp1"], "timeout": 600, "whole": True},
            host.Changes(),
            api=cluster,
            clock=lambda: next(clock),
            sleep=lambda _: None,
        )

    assert failure.value.lines == [
        "pod calico-node-x on cp1: ImagePullBackOff not found",
        "pod calico-node-x: last event: new",
    ]


def test_only_images_that_are_missing_are_pulled(programs: Programs) -> None:
    # It says so with an error, where others are incomplete.
    programs.answer("check", "--quiet", out="registry.k8s.io/pause:3.10\n", status=1)
    changes = host.Changes()

    images_pull.provide(
        {"images": ["registry.k8s.io/pause:3.10", "quay.io/calico/node:v3.31.0"]}, changes, run=programs
    )

    assert changes.sentences == ["pulled quay.io/calico/node:v3.31.0"]
    assert [call[-1] for call in programs.calls if "pull" in call] == ["quay.io/calico/node:v3.31.0"]
    assert programs.ran("ctr", "pull", "--local", "--sync-fs", "--hosts-dir=/etc/containerd/certs.d")


@pytest.mark.parametrize(
    ("reported", "missing"),
    [
        ("cri-o://1.36.3", ""),
        ("containerd://2.2.3", "node w1 reports containerd://2.2.3, not crio"),
        ("", "node w1 reports no container runtime, not crio"),
    ],
)
def test_a_node_is_ready_with_the_runtime_that_it_is_to_have(reported: str, missing: str) -> None:
    pods = [
        {"metadata": {"name": name, "labels": {"k8s-app": name}}, "status": condition("Ready", "True")}
        for name in ("calico-node", "kube-proxy")
    ]
    node = {
        "metadata": {"name": "w1"},
        "status": {**condition("Ready", "True"), "nodeInfo": {"containerRuntimeVersion": reported}},
    }

    class OneNode:
        def get(self, path: str) -> dict[str, Any]:
            return node if path.endswith("/w1") else {"items": pods}

    found = list(cluster_ready.unready_nodes(OneNode(), ["w1"], runtime="crio"))
    assert found == ([missing] if missing else [])


def test_in_crio_only_images_that_are_missing_are_pulled(programs: Programs) -> None:
    listed = {
        "images": [
            {"repoTags": ["registry.k8s.io/pause:3.10"], "repoDigests": ["quay.io/a@sha256:" + "1" * 64]}
        ]
    }
    programs.answer("crictl", "images", out=json.dumps(listed))
    changes = host.Changes()
    images = ["registry.k8s.io/pause:3.10", "quay.io/a@sha256:" + "1" * 64, "quay.io/b:1"]

    images_pull.provide({"images": images, "runtime": "crio"}, changes, run=programs)

    assert changes.sentences == ["pulled quay.io/b:1"]
    assert programs.ran("crictl", "--runtime-endpoint=unix:///run/crio/crio.sock", "pull", "quay.io/b:1")
    assert not any(call[0] == "ctr" for call in programs.calls)


def test_docker_pulls_from_the_mirror_and_gives_each_image_its_public_name(programs: Programs) -> None:
    programs.answer("docker", "images", out="registry.k8s.io/pause:3.10\n<none>:<none>\n")
    listed = ("kube-apiserver:v1.36.3", "coredns/coredns:v1.14.2", "pause:3.10.2", "etcd:3.6.8-0")
    programs.answer("kubeadm", out="".join(f"registry.k8s.io/{image}\n" for image in listed))
    changes = host.Changes()
    wanted = {
        "images": ["registry.k8s.io/pause:3.10", "quay.io/b:1", "ghcr.io/c:1"],
        "runtime": "docker",
        "mirror": {"quay.io": "m:5000/quay.io", "registry.k8s.io": "m:5000/registry.k8s.io"},
        "kubeadm": ["coredns", "etcd"],
        "kubernetes_version": "1.36.3",
    }

    images_pull.provide(wanted, changes, run=programs)

    assert changes.sentences == [
        "pulled quay.io/b:1, ghcr.io/c:1, registry.k8s.io/coredns/coredns:v1.14.2, registry.k8s.io/etcd:3.6.8-0"
    ]
    assert programs.ran("kubeadm", "--kubernetes-version=v1.36.3")
    assert programs.ran("docker", "pull", "m:5000/quay.io/b:1")
    assert programs.ran("docker", "tag", "m:5000/quay.io/b:1", "quay.io/b:1")
    assert programs.ran("docker", "rmi", "m:5000/quay.io/b:1")
    assert programs.ran("docker", "pull", "ghcr.io/c:1")
    assert not programs.ran("docker", "rmi", "ghcr.io/c:1")


def test_an_image_that_docker_cannot_pull_gets_no_name(programs: Programs) -> None:
    programs.answer("pull", status=1, err="manifest unknown: not found")
    wanted = {"images": ["quay.io/b:1"], "runtime": "docker", "mirror": {"quay.io": "m:5000/quay.io"}}
    with pytest.raises(host.HostError, match=r"cannot pull quay\.io/b:1: manifest unknown"):
        images_pull.provide(wanted, host.Changes(), run=programs)
    assert not programs.ran("docker", "tag")


def test_a_pull_is_tried_again_and_every_image_that_fails_is_named(programs: Programs) -> None:
    programs.answer("pull", status=1, err="ctr: connection reset by peer")
    naps: list[float] = []

    with pytest.raises(host.HostError, match=r"quay\.io/a:1: .*reset.*; quay\.io/b:1: .*reset"):
        images_pull.provide(
            {"images": ["quay.io/a:1", "quay.io/b:1"]}, host.Changes(), run=programs, sleep=naps.append
        )

    assert sorted(naps) == [2, 2, 4, 4, 8, 8]


def test_an_image_that_does_not_exist_is_not_tried_again(programs: Programs) -> None:
    programs.answer("pull", status=1, err="ctr: quay.io/a:1: not found")

    with pytest.raises(host.HostError, match="not found"):
        images_pull.provide({"images": ["quay.io/a:1"]}, host.Changes(), run=programs)

    assert sum("pull" in call for call in programs.calls) == 1


@pytest.mark.parametrize("image", ["pause", "--all", "quay.io/a;rm", "quay.io/a b"])
def test_what_is_no_image_reference_is_refused(programs: Programs, image: str) -> None:
    with pytest.raises(host.HostError, match="is no full image reference"):
        images_pull.provide({"images": [image]}, host.Changes(), run=programs)


def test_a_smoke_pod_runs_on_its_node_whatever_the_taints() -> None:
    spec = smoke_test.pod("web", "cp1", "agnhost:1")["spec"]

    assert spec["nodeName"] == "cp1"
    assert spec["tolerations"] == [{"operator": "Exists"}]
    assert spec["terminationGracePeriodSeconds"] == 0


def test_of_namespaces_only_those_of_our_own_tests_are_asked_for_and_one_that_goes_is_left_alone() -> None:
    asked: list[str] = []

    class Namespaces(Cluster):
        def get(self, path: str) -> Any:
            asked.append(path)
            going = {"name": "going", "deletionTimestamp": "2026-11-21T00:00:00Z"}
            return {"items": [{"metadata": {"name": "left"}}, {"metadata": going}]}

    assert smoke_test._leftovers(Namespaces()) == ["left"]
    assert asked == ["/api/v1/namespaces?labelSelector=provision.smoke-test"]


def test_a_namespace_without_a_service_account_is_laid_to_the_controller_manager(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = iter([0.0, 10.0, 200.0])
    monkeypatch.setattr(smoke_test.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(smoke_test.time, "sleep", lambda _: None)

    def refuse() -> None:
        raise smoke_test.ApiError('pods "web" is forbidden: serviceaccount "default" not found', 403)

    cluster = Cluster(pods={"items": [controller("kube-controller-manager", "False")]})
    with pytest.raises(host.HostError) as failure:
        smoke_test._retried(refuse, cluster, 180)

    assert failure.value.message == (
        "a new namespace has no service account after 180 s; kube-controller-manager is not ready on cp1"
    )
