"""Where the tool keeps what outlives a command: journals, locks, the lab's machines."""

from __future__ import annotations

import os
from pathlib import Path


def state_root() -> Path:
    """`$PROVISION_STATE`, or `provision` below `$XDG_STATE_HOME` (`~/.local/state`); absolute."""
    named = os.environ.get("PROVISION_STATE")
    if named:
        return Path(named).absolute()
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "provision"
