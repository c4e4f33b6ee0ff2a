"""A client that asks one address again and again from inside the lab's network, and what it was answered when."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .rig import Rig

# Arguments: address, file with the authority to trust (may be empty), file to write to.
_CLIENT = """
import ssl, sys, time, urllib.request
address, authority, log = sys.argv[1:]
context = ssl.create_default_context(cafile=authority) if authority else None
with open(log, "a", buffering=1) as file:
    while True:
        began = time.time()
        try:
            with urllib.request.urlopen(address, timeout=3, context=context) as answer:
                said = "ok" if answer.status == 200 else str(answer.status)
        except Exception as error:
            said = repr(error).replace("\\n", " ")
        print(began, said, file=file)
        time.sleep(max(0, 0.25 - (time.time() - began)))
"""


@dataclass
class Client:
    """One that asks every quarter of a second; `log` says when each request began, and "ok" or why not."""

    log: Path

    def failures(self, since: float, until: float | None = None) -> list[str]:
        """Requests of that time (seconds since the epoch) that were not answered. Asserts that there were requests."""
        rows = [line.split(" ", 1) for line in self.log.read_text().splitlines() if " " in line]
        meant = [row for row in rows if since <= float(row[0]) <= (until or time.time())]
        assert meant, f"nothing was asked between {since} and {until}"
        return [" ".join(row) for row in meant if row[1] != "ok"]


@contextmanager
def asking(rig: Rig, name: str, address: str, authority: Path | None = None) -> Iterator[Client]:
    """A client of that address until the end of the block."""
    client = Client(rig.directory / f"{name}.requests")
    command = rig.entering(sys.executable, "-c", _CLIENT, address, str(authority or ""), str(client.log))
    with subprocess.Popen(command) as process:
        try:
            yield client
        finally:
            process.kill()
