"""What every part of a plan looks at, and how a step comes into being only where there is a reason for it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from provision.model.plan import PlaybookStep, Reason

if TYPE_CHECKING:
    from provision.model.eks import EksCluster
    from provision.providers.eks.facts import Observation

_GOING = {"CREATING", "UPDATING", "PENDING", "DELETING"}


@dataclass(frozen=True, slots=True)
class View:
    """The file and what was seen."""

    cluster: EksCluster
    seen: Observation

    @property
    def zones(self) -> tuple[str, ...]:
        return self.seen.network.zones

    @property
    def running(self) -> str:
        """The version of the control plane, "" while there is none."""
        return self.seen.cluster.version if self.seen.cluster else ""


@dataclass(frozen=True, slots=True)
class Row:
    """A resource of a step: why it is in it, and what its action must know, as plain data."""

    resource: str
    reasons: tuple[str, ...]
    spec: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EksStep(PlaybookStep):
    """A step on resources of AWS."""

    def without_failed_hosts(self, failed: frozenset[str]) -> Self | None:
        """The step without the resources that failed; None if one that it requires is among them."""
        required = self.variables.get("requires", ())
        if isinstance(required, (list, tuple)) and failed & set(required):
            return None
        return PlaybookStep.without_failed_hosts(self, failed)


def surplus(kind: str, resource: str, identity: str) -> Row:
    """A resource of that kind (and AWS id or name) that is to go, because the file has it no longer."""
    return Row(resource, ("is not in the file any more",), {"kind": kind, "id": identity})


def step(
    name: str,
    summary: str,
    rows: Iterable[Row],
    *,
    action: str = "",
    needs: tuple[str, ...] = (),
    requires: Iterable[str] = (),
    awaited: bool = False,
    variables: Mapping[str, object] | None = None,
) -> Iterator[PlaybookStep]:
    """The step, if there is a row with a reason.

    `requires`: resources without which it makes no sense. `awaited`: a later step builds on its end, so that even
    `--no-wait` waits for it.
    """
    listed = [row for row in rows if row.reasons]
    if not listed:
        return
    more = {"requires": sorted(requires)} if (requires := tuple(requires)) else {}
    yield EksStep(
        name=name,
        summary=summary,
        playbook=f"eks-{action or name}",
        hosts=tuple(row.resource for row in listed),
        reasons=tuple(Reason(row.resource, reason) for row in listed for reason in row.reasons),
        needs=needs,
        variables={**(variables or {}), **({"awaited": True} if awaited else {}), **more},
        host_variables={row.resource: row.spec for row in listed if row.spec},
    )


def going(status: str) -> str:
    """Why a resource in that status must be waited for; "" if it need not be."""
    return f"is {status}" if status in _GOING else ""
