"""The live table: steps by hosts, running tasks below their step; changes and failures scroll above it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from provision.engine import events
from provision.model.units import duration
from provision.report.text import STOPPING, failure_lines, run_summary, steps_done

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

    from provision.engine.events import Event

_MOST_TASKS = 6  # running tasks shown below one step
_MOST_NAMED = 2  # hosts of a step that are listed by name where not every host has a column
_MARKS = {
    "waiting": ("·", "dim"),
    "running": ("●", "cyan"),
    "done": ("✓", "green"),
    "failed": ("✗", "bold red"),
    "stopped": ("■", "yellow"),
    "skipped": ("-", "yellow"),
}
_SUMMARY = 44  # columns of a step's summary that must stay readable beside the hosts


@dataclass
class _Row:
    summary: str
    hosts: tuple[str, ...]
    state: str = "waiting"
    began: float = 0.0
    seconds: float = 0.0
    failed: frozenset[str] = frozenset()
    because: str = ""
    tasks: dict[str, tuple[str, float]] = field(default_factory=dict)  # host: running task, its start

    def mark(self, host: str) -> str:
        """The state of one host in this step; "" if the step does not concern it."""
        if host not in self.hosts:
            return ""
        if self.state not in {"failed", "stopped"}:
            return self.state
        return self.state if host in self.failed else "done"


class LiveTable:
    """Context manager that redraws the table from RunStarted to RunFinished; `clock` gives seconds since the epoch."""

    def __init__(self, console: Console | None = None, *, clock: Callable[[], float] = time.time) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._clock = clock
        self._rows: dict[str, _Row] = {}
        self._hosts: tuple[str, ...] = ()
        self._started = clock()
        self._stopping = False
        self._live = Live(
            console=self._console, get_renderable=self._draw, refresh_per_second=2, transient=False
        )

    @property
    def can_redraw(self) -> bool:
        """Whether the terminal can move its cursor; TERM=dumb and TTY_COMPATIBLE=0 cannot."""
        return self._console.is_interactive

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._live.stop()

    def __call__(self, event: Event) -> None:
        match event:
            case events.RunStarted(plan=plan):
                self._hosts = tuple(dict.fromkeys(host for step in plan for host in step.hosts))
                self._rows = {step.name: _Row(step.summary, step.hosts) for step in plan}
                self._started = event.at
                self._live.start(refresh=True)  # else the first frame has no rows
            case events.RunFinished():
                self._live.stop()
                self._print(run_summary(event), "bold green" if event.ok else "bold red")
            case events.Stopping():
                self._stopping = True
                self._print(STOPPING, "yellow")
            case events.TaskStarted() | events.TaskFinished() | events.HostFailed():
                self._task_event(event)
            case events.Note(host=host, text=text, passing=False):
                self._print(f"{host}: {text}", "yellow")
            case _:
                self._step_event(event)

    def _step_event(self, event: Event) -> None:
        match event:
            case events.StepStarted(step=step, hosts=hosts):
                row = self._rows[step]
                row.state, row.hosts, row.began = "running", hosts, event.at
            case events.StepFinished(step=step, seconds=seconds, failed_hosts=failed):
                row = self._rows[step]
                row.seconds, row.failed = seconds, frozenset(failed)
                row.state = ("stopped" if self._stopping else "failed") if failed else "done"
                row.tasks.clear()
            case events.StepSkipped(step=step, because=because):
                self._rows[step].state, self._rows[step].because = "skipped", because

    def _task_event(self, event: events.TaskStarted | events.TaskFinished | events.HostFailed) -> None:
        tasks = self._rows[event.step].tasks
        if isinstance(event, events.TaskStarted):
            tasks[event.host] = (event.task, event.at)
            return
        tasks.pop(event.host, None)
        if isinstance(event, events.TaskFinished):
            for line in (*event.changes, *event.proofs):
                self._print(f"{event.host}: {line}", "dim")
            return
        for line in failure_lines(event):
            self._print(line, "red" if line.startswith("error") else "")

    def _print(self, line: str, style: str) -> None:
        self._console.print(Text(line, style=style))

    def _draw(self) -> RenderableType:
        table = Table.grid(padding=(0, 1))
        wide = self._console.width >= _SUMMARY + sum(len(host) + 1 for host in self._hosts) + 16
        columns = self._hosts if wide else ("",)
        table.add_column(width=1)
        table.add_column(no_wrap=True, overflow="ellipsis")
        for _ in columns:
            table.add_column(no_wrap=True, justify="center")
        table.add_column(no_wrap=True, justify="right", min_width=12)
        if wide:
            table.add_row("", "", *(Text(host, style="dim") for host in columns), "")
        for row in self._rows.values():
            self._add(table, row, wide=wide)
        done = sum(row.state == "done" for row in self._rows.values())
        line = f"{steps_done(len(self._rows), done)}, {duration(self._clock() - self._started)}"
        return Group(Text(""), table, Text(line, style="dim"))

    @property
    def _most_tasks(self) -> int:
        """Tasks shown for each running step, so that the last line of the table stays on the screen."""
        states = [row.state for row in self._rows.values()]
        room = self._console.height - len(states) - states.count("skipped") - 4
        return max(1, min(_MOST_TASKS, room // max(1, states.count("running"))))

    def _add(self, table: Table, row: _Row, *, wide: bool) -> None:
        now = self._clock()
        seconds = now - row.began if row.state == "running" else row.seconds
        clock = "" if row.state in {"waiting", "skipped"} else duration(seconds)
        cells = [_mark(row.mark(host)) for host in self._hosts] if wide else [_names_or_count(row.hosts)]
        style = {"waiting": "dim", "running": "bold", "failed": "red", "skipped": "yellow"}.get(row.state, "")
        table.add_row(_mark(row.state), Text(row.summary, style=style), *cells, clock)
        empty = [""] * len(cells)
        if row.state == "skipped":
            table.add_row("", Text(f"  not run: {row.because}", style="yellow"), *empty, "")
        if row.state == "running":
            for host, (task, since) in list(row.tasks.items())[: self._most_tasks]:
                line = Text(f"  {host}: {task}", style="cyan")
                table.add_row("", line, *empty, Text(duration(now - since), style="dim"))


def _names_or_count(hosts: tuple[str, ...]) -> Text:
    return Text(", ".join(hosts) if len(hosts) <= _MOST_NAMED else f"{len(hosts)} hosts")


def _mark(state: str) -> Text:
    mark, style = _MARKS.get(state, ("", ""))
    return Text(mark, style=style)
