"""Findings, reasons and steps: what is wrong, and what will be done about it. Frozen data, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal, Self

from provision.redact import one_line

Severity = Literal["error", "warning"]
DRAIN_SECONDS = 600  # in which all pods of nodes that leave must have ended, by default


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something wrong with the file or a host, and the fix.

    `check` is the kebab-case name of the rule. `where` is "cluster.yaml:14", the name of a host, or "" for the
    cluster as a whole; `key` the path in the file ("hosts[2].address") or "".
    """

    severity: Severity
    check: str
    where: str
    message: str
    key: str = ""
    fix: str = ""

    def __post_init__(self) -> None:
        """Hosts choose parts of these texts: names of files, what programs print."""
        for name in ("message", "fix"):
            object.__setattr__(self, name, one_line(getattr(self, name)))

    @classmethod
    def error(cls, check: str, where: str, message: str, fix: str = "", *, key: str = "") -> Finding:
        return cls(severity="error", check=check, where=where, message=message, fix=fix, key=key)

    @classmethod
    def warning(cls, check: str, where: str, message: str, fix: str = "", *, key: str = "") -> Finding:
        return cls(severity="warning", check=check, where=where, message=message, fix=fix, key=key)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a step is in the plan: a host and what was observed there ("swap is on (/swapfile)")."""

    host: str
    what: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "what", one_line(self.what))


class OnFailure(StrEnum):
    """What the failure of a host in a step means for the rest of the run."""

    LEAVE_HOSTS_OUT = "leave-hosts-out"  # later steps run without the hosts that failed
    STOP_BATCH = "stop-batch"  # no step that needs this one runs
    STOP_ALL = "stop-all"  # no further step begins


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A unit of work on some hosts or resources; what runs it depends on the provider.

    `name` is unique in its plan. `needs` names the steps that must have ended first; the catalogue that planned the
    step guarantees that each of them exists. Nothing secret is in a step: secrets are created on the hosts.
    """

    name: str
    summary: str  # imperative, no final period
    hosts: tuple[str, ...]
    reasons: tuple[Reason, ...]
    needs: tuple[str, ...] = ()
    on_failure: OnFailure = OnFailure.LEAVE_HOSTS_OUT

    def without_failed_hosts(self, failed: frozenset[str]) -> Self | None:
        """The step for the hosts that have not failed; None if nothing of it is left."""
        hosts = tuple(host for host in self.hosts if host not in failed)
        return replace(self, hosts=hosts) if hosts else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaybookStep(Step):
    """A playbook run against the hosts of the step.

    `through` is the control plane that its tasks reach the cluster by, "" where there is none; `nodes` are the nodes
    of the cluster that it concerns. `variables` hold for the whole play, `host_variables` for one host each (by its
    name); `node_variables` are variables of the play that name nodes, as a tuple of names or as a mapping by name.
    All three hold variables of roles and are read by Ansible alone.
    """

    playbook: str  # file stem below playbooks/
    through: str = ""
    nodes: tuple[str, ...] = ()
    needs_all_nodes: bool = False
    variables: Mapping[str, object] = field(default_factory=dict)
    host_variables: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    node_variables: Mapping[str, tuple[str, ...] | Mapping[str, object]] = field(default_factory=dict)

    def without_failed_hosts(self, failed: frozenset[str]) -> Self | None:
        """The step for the hosts and nodes that have not failed.

        None if no host is left, or if a node failed of which `needs_all_nodes` says that the step needs it.
        """
        hosts = tuple(host for host in self.hosts if host not in failed)
        if not hosts or (self.needs_all_nodes and failed & set(self.nodes)):
            return None
        return replace(
            self,
            hosts=hosts,
            nodes=tuple(node for node in self.nodes if node not in failed),
            node_variables={name: _without(nodes, failed) for name, nodes in self.node_variables.items()},
        )


def _without(
    nodes: tuple[str, ...] | Mapping[str, object], failed: frozenset[str]
) -> tuple[str, ...] | Mapping[str, object]:
    if isinstance(nodes, Mapping):
        return {node: value for node, value in nodes.items() if node not in failed}
    return tuple(node for node in nodes if node not in failed)


Plan = tuple[Step, ...]
PlaybookPlan = tuple[PlaybookStep, ...]
