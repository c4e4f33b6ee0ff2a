"""Draw the live table of a recorded run as the SVG picture of the README, so that it shows a real run.

usage: python docs/picture.py JOURNAL SECONDS SVG

JOURNAL is the journal.jsonl of a run, SECONDS the time of the picture after the start of the run.
"""

from __future__ import annotations

import dataclasses
import io
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from provision.engine import events
from provision.model.plan import Reason, Step
from provision.report.live import LiveTable

if TYPE_CHECKING:
    from collections.abc import Iterable

_WIDTH, _HEIGHT = 80, 34
_KINDS = {
    re.sub(r"(?<!^)(?=[A-Z])", "-", kind.__name__).lower(): kind for kind in events.Event.__subclasses__()
}


def read_journal(text: str) -> list[events.Event]:
    """The events of a journal in their order."""
    return [_read_event(json.loads(line)) for line in text.splitlines()]


def _read_event(data: dict[str, Any]) -> events.Event:
    kind = _KINDS[data["event"]]
    if "plan" in data:
        data["plan"] = tuple(_read_step(step) for step in data["plan"])
    return kind(**_fields_of(kind, data))


def _read_step(data: dict[str, Any]) -> Step:
    reasons = tuple(Reason(**reason) for reason in data["reasons"])
    return Step(**{**_fields_of(Step, data), "reasons": reasons})


def _fields_of(kind: type[Any], data: dict[str, Any]) -> dict[str, Any]:
    """What `data` has for the fields of a dataclass; JSON's arrays were tuples."""
    names = {field.name for field in dataclasses.fields(kind)} & data.keys()
    return {name: tuple(data[name]) if isinstance(data[name], list) else data[name] for name in names}


def draw(recorded: Iterable[events.Event], seconds: float) -> str:
    """The SVG of the terminal `seconds` after the first event; it loads nothing from elsewhere."""
    recorded = list(recorded)
    now = recorded[0].at + seconds
    # On a console that is not interactive rich draws the table once, below the lines: the state at `now`.
    console = Console(record=True, width=_WIDTH, height=_HEIGHT, file=io.StringIO(), force_interactive=False)
    with LiveTable(console, clock=lambda: now) as table:
        for event in recorded:
            if event.at <= now:
                table(event)
    lines = console.export_text(styles=True).rstrip().splitlines()[-_HEIGHT:]
    screen = Console(record=True, width=_WIDTH, file=io.StringIO(), force_terminal=True)
    for line in lines:
        screen.print(Text.from_ansi(line), no_wrap=True, crop=False)
    svg = screen.export_svg(title="provision apply")
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL).replace("Fira Code", "monospace")


if __name__ == "__main__":
    journal, seconds, svg = sys.argv[1:]
    Path(svg).write_text(draw(read_journal(Path(journal).read_text()), float(seconds)))
