"""TCP balancer for the endpoint of a lab with several control planes.

Runs as a program inside the lab's network (`python -m provision.lab.balancer --lab=RECORD`). The members are read
from the lab's record at every connection, so adding a machine restarts nothing.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress
from pathlib import Path

from provision.lab.state import GATEWAY

PORT = 6443
_CONNECT_LIMIT = 2.0  # seconds per member; a machine that is off never answers
_CHUNK = 1 << 16


def marker(record: Path) -> str:
    """Return the argument that identifies the balancer's process."""
    return f"--lab={record}"


def command(record: Path) -> tuple[str, ...]:
    """Return the command that runs the balancer of the lab with that record."""
    return (sys.executable, "-P", "-m", "provision.lab.balancer", marker(record))


def read_members(record: Path) -> tuple[str, ...]:
    """Return the addresses of the control planes in the record; none while the lab is being removed."""
    try:
        machines = json.loads(record.read_text())["machines"]
    except (FileNotFoundError, ValueError, KeyError):
        return ()
    return tuple(machine["address"] for machine in machines if machine["role"] == "control-plane")


class Balancer:
    """Forwards each connection to the member that answered last, or else to the next one that answers."""

    def __init__(self, record: Path, port: int) -> None:
        self._record = record
        self._port = port
        self._last = ""

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until either side ends it; close it at once if no member answers."""
        upstream = await self._connect()
        if upstream is None:
            writer.close()
            return
        there, back = upstream
        await asyncio.gather(_copy(reader, back), _copy(there, writer))

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        for address in sorted(read_members(self._record), key=lambda one: one != self._last):
            with suppress(OSError, TimeoutError):
                upstream = await asyncio.wait_for(
                    asyncio.open_connection(address, self._port), _CONNECT_LIMIT
                )
                self._last = address
                return upstream
        return None


async def serve(record: Path, address: str, port: int) -> None:
    """Listen on address:port until cancelled."""
    server = await asyncio.start_server(Balancer(record, port).accept, address, port)
    async with server:
        await server.serve_forever()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until either side ends; a broken connection counts as its end."""
    with suppress(OSError):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
    with suppress(OSError):
        writer.close()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1].removeprefix("--lab=")), GATEWAY, PORT))
