"""What was observed of the cluster, as one healthy control plane's API server tells it. Frozen, no I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict

from provision.model.cluster import Dataplane, Encapsulation, Role


class Facts(BaseModel):
    """A part of what was observed; keys that this release does not know are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Taint(Facts):
    key: str
    value: str
    effect: str

    def __str__(self) -> str:
        return f"{self.key}={self.value}:{self.effect}" if self.value else f"{self.key}:{self.effect}"


class Node(Facts):
    """A node as the API server has it; `message` says why it is not ready.

    `created` is when it joined (RFC 3339), `marks` what the module node_labels remembers of the file's labels and
    taints.
    """

    name: str
    created: str = ""
    marks: str = ""
    labels: Mapping[str, str]
    taints: tuple[Taint, ...]
    cordoned: bool
    ready: bool
    message: str
    kubelet: str
    runtime: str
    machine_id: str
    addresses: tuple[str, ...]
    features: tuple[str, ...] = ()  # that its kubelet declares; 1.36 and newer do

    @property
    def set_by_file(self) -> tuple[frozenset[str], frozenset[str]]:
        """Keys of the labels and `key:Effect` of the taints that a file has asked for."""
        try:
            found = json.loads(self.marks or "{}")
            return frozenset(found.get("labels", ())), frozenset(found.get("taints", ()))
        except (ValueError, AttributeError, TypeError):
            return frozenset(), frozenset()

    @property
    def runtime_name(self) -> str:
        """As the cluster file spells it: `containerd://2.2.3` -> `containerd`, `cri-o://1.36.3` -> `crio`."""
        return self.runtime.partition("://")[0].replace("-", "")

    @property
    def runtime_version(self) -> str:
        """`containerd://2.2.3` -> `2.2.3`, `docker://26.1.5+dfsg1` -> `26.1.5`."""
        return self.runtime.partition("://")[2].removeprefix("v").partition("+")[0]

    @property
    def role(self) -> Role:
        return "control-plane" if "node-role.kubernetes.io/control-plane" in self.labels else "worker"


class Workload(Facts):
    """A DaemonSet or Deployment: how many pods are wanted and how many are ready."""

    images: tuple[str, ...]
    wanted: int
    ready: int

    @property
    def is_ready(self) -> bool:
        return self.ready >= self.wanted > 0


class ClusterFacts(Facts):
    """The cluster by its API server; `error` says why that did not answer, and then nothing else is known."""

    error: str = ""
    version: str = ""
    nodes: tuple[Node, ...] = ()
    configuration: str = ""  # kubeadm's ClusterConfiguration, YAML
    servers: Mapping[
        str, str
    ] = {}  # the API server's URL by place: cluster-info, kube-proxy, calico; "" by none
    proxy_mode: str = ""  # of kube-proxy; "" while it is not installed
    note: Mapping[
        str, str
    ] = {}  # what the module calico_manifest applied: calico, pod_cidr, encapsulation, dataplane
    daemonsets: Mapping[str, Workload] = {}
    deployments: Mapping[str, Workload] = {}
    pools: tuple[Mapping[str, Any], ...] = ()
    tokens: tuple[str, ...] = ()

    @property
    def kubeadm(self) -> dict[str, Any]:
        """ClusterConfiguration of kubeadm as data; {} while `kubeadm init` has not stored it."""
        found = yaml.safe_load(self.configuration)
        return found if isinstance(found, dict) else {}

    @property
    def dataplane(self) -> Dataplane | None:
        """What kube-proxy makes its rules with; None where it is neither of the two that a file can ask for."""
        known: dict[str, Dataplane] = {"nftables": "nftables", "iptables": "iptables"}
        return known.get(self.proxy_mode)

    def node(self, name: str) -> Node | None:
        return self._by_name.get(name)

    @cached_property
    def _by_name(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    @property
    def is_smoke_test_pending(self) -> bool:
        """Nodes were made whose smoke test was wanted and has not passed: see module_utils/provision_smoke_test.py."""
        return "unproven" in self.note

    @property
    def calico(self) -> Workload | None:
        return self.daemonsets.get("calico-node")

    @property
    def has_network(self) -> bool:
        """Calico's manifest was applied to its end, by us or another: the Deployment is the last thing in it."""
        return self.calico is not None and (
            "calico" in self.note or "calico-kube-controllers" in self.deployments
        )

    @property
    def calico_version(self) -> str:
        """Tag of the image of calico-node; "" without it."""
        images = self.calico.images if self.calico else ()
        return images[0].rpartition(":")[2] if images else ""

    def pool(self, cidr: str) -> Encapsulation | None:
        """Encapsulation of the pool of that range; None if there is no such pool."""
        for pool in self.pools:
            if pool.get("cidr") == cidr:
                return _encapsulation(str(pool.get("ipipMode")), str(pool.get("vxlanMode")))
        return None


def _encapsulation(ipip: str, vxlan: str) -> Encapsulation:
    modes: dict[tuple[str, Literal["vxlan", "ipip"]], Encapsulation] = {
        ("Always", "vxlan"): "vxlan",
        ("CrossSubnet", "vxlan"): "vxlan-cross-subnet",
        ("Always", "ipip"): "ipip",
        ("CrossSubnet", "ipip"): "ipip-cross-subnet",
    }
    return modes.get((vxlan, "vxlan")) or modes.get((ipip, "ipip")) or "none"
