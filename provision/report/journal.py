"""The directory of a run with its journal of events.

`$PROVISION_STATE` or `$XDG_STATE_HOME/provision`, then `runs/<cluster>/<UTC time>/journal.jsonl`; readable only by
its owner; the newest 20 runs of a cluster are kept.
"""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from provision.paths import state_root
from provision.report.json_lines import event_line

if TYPE_CHECKING:
    from provision.engine.events import Event

_KEPT_RUNS = 20


class Journal:
    """Context manager that appends every event of one run to its file at once."""

    def __init__(self, cluster: str) -> None:
        runs = state_root() / "runs" / cluster
        self.run = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        self.path = runs / self.run / "journal.jsonl"
        self.path.parent.mkdir(parents=True, mode=0o700)
        for old in sorted(path for path in runs.iterdir() if path.is_dir())[:-_KEPT_RUNS]:
            shutil.rmtree(old)
        self._file = os.fdopen(os.open(self.path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._file.close()

    def __call__(self, event: Event) -> None:
        self._file.write(event_line(event) + "\n")
        self._file.flush()
