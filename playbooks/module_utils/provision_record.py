"""A record of how the host was before we changed it, so that a later `reset` can put it back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible.module_utils.provision_host import read, write_whole


class Record:
    """`/var/lib/provision/before/<name>.json`; what was noted first stays, whatever later runs see."""

    def __init__(self, name: str, *, root: Path = Path("/")) -> None:
        self.directory = root / "var/lib/provision/before"
        self._path = self.directory / f"{name}.json"
        self._noted: dict[str, dict[str, Any]] = json.loads(read(self._path) or "{}")

    def note(self, topic: str, key: str, was: Any) -> None:
        """Remember that `key` of `topic` was `was` (None: was not there); on disk when this returns."""
        if key in self._noted.setdefault(topic, {}):
            return
        self._noted[topic][key] = was
        write_whole(self._path, json.dumps(self._noted, indent=2, sort_keys=True) + "\n", mode=0o600)
