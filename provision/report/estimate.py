"""What a cluster costs, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provision.providers.eks.prices import Estimate


def estimate_text(estimate: Estimate) -> str:
    """A line per position, the sum, and what is not in it."""
    width = max(len(line.item) for line in estimate.lines)
    rows = [
        f"  {line.item.ljust(width)}  {_dollars(line.monthly)}{f'  ({line.note})' if line.note else ''}"
        for line in estimate.lines
    ]
    least = "" if estimate.complete else "at least "
    head = f"{estimate.cluster} in {estimate.region} costs {least}about ${estimate.monthly:,.0f} a month"
    rest = f"  not counted: {', '.join(estimate.not_counted)}"
    lines = (f"{head} ({estimate.source}, US dollars):", *rows, rest)
    return "".join(f"{line}\n" for line in lines)


def _dollars(monthly: float | None) -> str:
    return f"{'?' if monthly is None else f'{monthly:,.2f}':>10}"
