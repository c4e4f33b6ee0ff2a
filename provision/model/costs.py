"""The estimated cost of a cluster: frozen data, US dollars."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CostLine:
    """One item: `monthly` in dollars, None where the price is not known; `note` is a remark or ""."""

    item: str
    monthly: float | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the cluster of a file costs in a month of 730 hours; `not_counted` names what is not in the lines."""

    cluster: str
    region: str
    source: str  # "list prices of 2026-01-19"
    lines: tuple[CostLine, ...]
    not_counted: tuple[str, ...]

    @property
    def monthly(self) -> float:
        """Dollars of all lines whose price is known."""
        return sum(line.monthly for line in self.lines if line.monthly is not None)

    @property
    def complete(self) -> bool:
        """Whether every price is known."""
        return all(line.monthly is not None for line in self.lines)
