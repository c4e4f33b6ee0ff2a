"""Findings, reasons and steps: what is wrong, and what will be done about it. Frozen data, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something wrong with the file or a host, and the way out.

    `check` is the kebab-case name of the rule. `where` is "cluster.yaml:14" or a host's name, or "" for the
    cluster as a whole; `key` the path in the file ("hosts[2].address") or "".
    """

    severity: Severity
    check: str
    where: str
    message: str
    key: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a step is in the plan: a host and what was seen there ("swap is on (/swapfile)")."""

    host: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One playbook against some hosts. Data only: `provision.ansible` gives it effect.

    `name` is unique in its plan. `needs` names the steps that must be finished first; a name that is not in
    the plan is fulfilled already. `variables` hold for the whole play, `host_variables` for one host (by
    name); both are the roles' own variables. Nothing secret is in either: secrets are made on the hosts.
    """

    name: str
    summary: str  # imperative, no final period
    playbook: str  # file stem below playbooks/
    hosts: tuple[str, ...]
    reasons: tuple[Reason, ...]
    needs: tuple[str, ...] = ()
    variables: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    host_variables: Mapping[str, Mapping[str, object]] = field(default_factory=lambda: MappingProxyType({}))


Plan = tuple[Step, ...]
