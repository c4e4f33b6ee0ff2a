"""How a cluster is, in one piece of data that reads the same for every provider."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provision.model.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """A node of the cluster, or a host of the file that is none (`joined` false); `message`: why it is not ready."""

    name: str
    role: str
    address: str
    in_file: bool
    joined: bool
    ready: bool
    cordoned: bool
    version: str  # of its kubelet, "" if unknown
    runtime: str  # "containerd://2.2.3"
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadStatus:
    """Pods of a part of kube-system; `version` is the tag of its image."""

    name: str
    version: str
    ready: int
    wanted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdStatus:
    """A member of etcd; `problem` says what is wrong with it, "" for nothing. `healthy` only if it was looked at."""

    name: str
    leader: bool
    learner: bool
    healthy: bool
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateStatus:
    """A certificate on a host and the days (may be negative) until it ends."""

    host: str
    name: str
    days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """A step that `apply` would take, and why: "host: reason"."""

    step: str
    summary: str
    hosts: tuple[str, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Everything `provision status` shows. `error` says why the API server is silent; "" if it answers."""

    cluster: str
    endpoint: str
    kubernetes: str  # running version, "" while the API server is silent
    error: str
    healthy: bool  # the API answers, every host of the file is a ready node, the workloads are ready
    nodes: tuple[NodeStatus, ...]
    workloads: tuple[WorkloadStatus, ...]
    certificates: tuple[CertificateStatus, ...]
    bootstrap_tokens: int
    drift: tuple[Drift, ...]
    etcd: tuple[EtcdStatus, ...] = ()  # empty where a provider keeps it to itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A host of the file or a node that the file does not have.

    `state` is "ready", "not ready", "no node", or "unknown" where no control plane answered; `age` in seconds since
    it joined, None if it did not or that is unknown.
    """

    name: str
    role: str
    address: str
    state: str
    cordoned: bool
    version: str
    runtime: str
    age: float | None
    in_file: bool
    labels: dict[str, str]
    taints: tuple[str, ...]
    message: str


def describe_drift(plan: Plan) -> tuple[Drift, ...]:
    """The steps of the plan that `apply` would run now, as part of a status."""
    return tuple(
        Drift(
            step=step.name,
            summary=step.summary,
            hosts=step.hosts,
            reasons=tuple(f"{reason.host}: {reason.what}" for reason in step.reasons),
        )
        for step in plan
    )
