"""The endpoint of several control planes, on loopback."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from provision.lab import balancer


def record_of(path: Path, *addresses: str) -> Path:
    machines = [{"role": "control-plane", "address": address} for address in addresses]
    path.write_text(json.dumps({"machines": [*machines, {"role": "worker", "address": "127.0.0.9"}]}))
    return path


async def ask_through_balancer(record: Path, answering: str) -> bytes:
    """A member at `answering` says hello; the balancer listens at 127.0.0.1 on the same port."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello " + await reader.readline())
        await writer.drain()
        writer.close()

    member = await asyncio.start_server(greet, answering, 0)
    port = member.sockets[0].getsockname()[1]
    serving = asyncio.create_task(balancer.serve(record, "127.0.0.1", port))
    try:
        return await asyncio.wait_for(_ask(port), 20)
    finally:
        serving.cancel()
        member.close()
        await asyncio.gather(serving, return_exceptions=True)


async def _ask(port: int) -> bytes:
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            await asyncio.sleep(0.01)
            continue
        writer.write(b"you\n")
        await writer.drain()
        answer = await reader.read()
        writer.close()
        return answer


def test_a_member_that_is_off_is_skipped(tmp_path: Path) -> None:
    record = record_of(tmp_path / "lab.json", "127.0.0.2", "127.0.0.3")

    assert asyncio.run(ask_through_balancer(record, "127.0.0.3")) == b"hello you\n"


def test_a_connection_is_closed_when_no_member_answers(tmp_path: Path) -> None:
    record = record_of(tmp_path / "lab.json", "127.0.0.4")

    assert asyncio.run(ask_through_balancer(record, "127.0.0.5")) == b""


def test_workers_are_no_members(tmp_path: Path) -> None:
    assert balancer.read_members(record_of(tmp_path / "lab.json", "127.0.0.2")) == ("127.0.0.2",)


def test_a_lab_that_is_gone_has_no_members(tmp_path: Path) -> None:
    assert balancer.read_members(tmp_path / "lab.json") == ()
