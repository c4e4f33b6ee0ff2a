"""Findings, plans and results as text: plain strings, the same on a terminal, in a file and in a golden test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.model.units import counted, duration, names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from provision.engine import events
    from provision.errors import ProvisionError
    from provision.model.costs import Estimate
    from provision.model.plan import Finding, Plan

STOPPING = (
    "stopping: no further step starts; tasks running on hosts end by themselves; Ctrl-C again to exit at once"
)


def error_text(error: ProvisionError) -> str:
    """The findings of an error, or its message, last lines of output and fix."""
    findings: Sequence[Finding] = getattr(error, "findings", ())
    if findings:
        return findings_text(findings)
    lines = [f"error: {error.message}"]
    lines += [f"  | {line}" for line in error.detail]
    if error.fix:
        lines.append(f"  fix: {error.fix}")
    return "\n".join(lines) + "\n"


def findings_text(findings: Iterable[Finding]) -> str:
    """One or two lines a finding, errors before warnings."""
    lines = []
    for finding in sorted(findings, key=lambda finding: finding.severity != "error"):
        place = ": ".join(part for part in (finding.where, finding.key) if part)
        lines.append(f"{finding.severity}: {f'{place}: ' if place else ''}{finding.message}")
        if finding.fix:
            lines.append(f"  fix: {finding.fix}")
    return "".join(f"{line}\n" for line in lines)


def failure_lines(event: events.HostFailed) -> Iterator[str]:
    """What failed, its last lines of output, the likely cause, and the fix."""
    yield f"error: {event.host}: {event.step}: {event.task}: {event.message}"
    if event.command:
        yield f"  command: {event.command}"
    for line in event.lines:
        yield f"  | {line}"
    if event.cause:
        yield f"  likely cause: {event.cause}"
    if event.fix:
        yield f"  fix: {event.fix}"


def run_summary(event: events.RunFinished) -> str:
    """`failed after 1 min 15 s`."""
    if event.interrupted:
        return f"interrupted after {duration(event.seconds)}"
    return f"{'done' if event.ok else 'failed'} after {duration(event.seconds)}"


def steps_done(total: int, done: int) -> str:
    """`1 of 3 steps`."""
    return f"{done} of {counted(total, 'step')}"


def warning_text(warning: str | Estimate) -> str:
    """What to know before agreeing to a plan: a line below an empty one, or a table of costs."""
    return f"\n{warning}\n" if isinstance(warning, str) else estimate_text(warning)


def estimate_text(estimate: Estimate) -> str:
    """The sum, a line for each item, and what is not included."""
    width = max(len(line.item) for line in estimate.lines)
    rows = [
        f"  {line.item.ljust(width)}  {_dollars(line.monthly)}{f'  ({line.note})' if line.note else ''}"
        for line in estimate.lines
    ]
    least = "" if estimate.complete else "at least "
    head = f"{estimate.cluster} in {estimate.region} costs {least}about ${estimate.monthly:,.0f} a month"
    rest = f"  not included: {', '.join(estimate.not_counted)}"
    lines = (f"{head} ({estimate.source}, US dollars):", *rows, rest)
    return "".join(f"{line}\n" for line in lines)


def _dollars(monthly: float | None) -> str:
    return f"{'?' if monthly is None else f'{monthly:,.2f}':>10}"


def plan_text(cluster: str, plan: Plan) -> str:
    """The steps in order, each with its hosts and their reasons."""
    if not plan:
        return f"cluster {cluster}: nothing to do\n"
    lines = [f"cluster {cluster}: {counted(len(plan), 'step')}", ""]
    for number, step in enumerate(plan, start=1):
        lines.append(f"{number:3}. {step.summary}")
        lines += [f"       {line}" for line in grouped((reason.host, reason.what) for reason in step.reasons)]
    return "".join(f"{line}\n" for line in lines)


def grouped(reasons: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Group pairs of host and reason into lines `cp1, w1: swap is on`, one for each reason."""
    hosts: dict[str, list[str]] = {}
    for host, what in reasons:
        hosts.setdefault(what, []).append(host)
    return (f"{names(group)}: {what}" for what, group in hosts.items())


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns aligned by spaces, without a frame: for people, cut and awk."""
    everything = [tuple(head), *map(tuple, rows)]
    widths = [max(len(row[column]) for row in everything) for column in range(len(head))]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in everything
    )
    return "".join(f"{line}\n" for line in lines)
