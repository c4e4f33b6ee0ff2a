"""Progress of a run on standard error: a live table on a terminal, plain lines everywhere else."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from provision.engine import events
from provision.model.units import duration, names
from provision.report.text import STOPPING, failure_lines, run_summary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from provision.engine.events import Emit, Event


def observation_reporter(*, verbose: bool) -> Emit:
    """The reporter for observing hosts: silent unless `verbose`."""
    return PlainLines(verbose=True) if verbose else lambda _event: None


@contextmanager
def run_reporter(*, verbose: bool) -> Iterator[Emit]:
    """The reporter for a run that suits standard error: a live table only on a terminal that can redraw it.

    `verbose`: plain lines everywhere, one for each task.
    """
    if sys.stderr.isatty() and not verbose:
        from provision.report.live import LiveTable  # noqa: PLC0415  (rich costs a tenth of a second)

        table = LiveTable()
        if table.can_redraw:
            with table:
                yield table
            return
    yield PlainLines(verbose=verbose)


class PlainLines:
    """One line for each change, failure and step: `  12.3s  prepare-hosts  cp1: turned swap off: /swapfile`."""

    def __init__(self, *, verbose: bool = False, clock: Callable[[], float] = time.time) -> None:
        self._verbose = verbose
        self._started = clock()
        self._stopping = False

    def __call__(self, event: Event) -> None:
        for line in self._lines(event):
            print(f"{event.at - self._started:7.1f}s  {line}", file=sys.stderr, flush=True)

    def _lines(self, event: Event) -> Iterator[str]:
        match event:
            case events.StepStarted(step=step, hosts=hosts):
                yield f"{step}  started on {names(hosts)}"
            case events.TaskStarted() | events.TaskFinished() | events.Note() | events.HostFailed():
                yield from self._host_lines(event)
            case events.StepFinished(step=step, seconds=seconds, failed_hosts=failed):
                end = "stopped" if self._stopping else f"failed on {names(failed)}"
                yield f"{step}  {end if failed else 'done'} in {duration(seconds)}"
            case events.StepSkipped(step=step, because=because):
                yield f"{step}  not run: {because}"
            case events.Observed(host=host, seconds=seconds, error=error) if self._verbose:
                yield f"{host}: {error or 'observed'} ({duration(seconds)})"
            case events.Stopping():
                self._stopping = True
                yield STOPPING
            case events.RunFinished():
                yield run_summary(event)

    def _host_lines(self, event: Event) -> Iterator[str]:
        match event:
            case events.TaskStarted(step=step, host=host, task=task) if self._verbose:
                yield f"{step}  {host}: {task} ..."
            case events.TaskFinished(step=step, host=host):
                yield from (f"{step}  {host}: {news}" for news in _news(event, verbose=self._verbose))
            case events.Note(step=step, host=host, text=text):
                yield f"{step}  {host}: {text}"
            case events.HostFailed():
                yield from failure_lines(event)


def _news(event: events.TaskFinished, *, verbose: bool) -> Iterator[str]:
    """The changes and proofs of a task that succeeded; with `verbose` also that it changed nothing."""
    yield from event.changes
    yield from (f"verified: {proof}" for proof in event.proofs)
    if event.changed and not event.changes:
        yield f"{event.task}: changed"
    elif verbose and not event.changes:
        yield f"{event.task}: ok"
