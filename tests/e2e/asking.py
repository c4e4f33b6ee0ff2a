"""A client that asks one address again and again from inside the lab's network, and what it was answered when."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from .rig import Rig

# Arguments: address, seconds to wait, file to write to, directory with ca.crt and client.pem for HTTPS (may be empty).
_CLIENT = """
import ssl, sys, time, urllib.request
address, patience, log, credentials = sys.argv[1:]
context = None
if credentials:
    context = ssl.create_default_context(cafile=credentials + "/ca.crt")
    context.load_cert_chain(credentials + "/client.pem")
with open(log, "a", buffering=1) as file:
    while True:
        began = time.time()
        try:
            with urllib.request.urlopen(address, timeout=float(patience), context=context) as answer:
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

    def failures(self, since: float) -> list[str]:
        """Requests since that time (seconds since the epoch) that were not answered. Asserts that there were some."""
        rows = [line.split(" ", 1) for line in self.log.read_text().splitlines() if " " in line]
        meant = [row for row in rows if float(row[0]) >= since]
        assert meant, f"nothing was asked since {since}"
        return [" ".join(row) for row in meant if row[1] != "ok"]


@contextmanager
def asking(
    rig: Rig, name: str, address: str, *, patience: float = 3.0, credentials: str = ""
) -> Iterator[Client]:
    """A client of that address until the end of the block; `credentials` is the directory that HTTPS needs.

    A request has failed when `patience` seconds brought no answer.
    """
    client = Client(rig.directory / f"{name}.requests")
    command = rig.entering(
        sys.executable, "-c", _CLIENT, address, str(patience), str(client.log), credentials
    )
    with subprocess.Popen(command) as process:
        try:
            yield client
        finally:
            process.kill()


@contextmanager
def asking_the_api(rig: Rig) -> Iterator[Client]:
    """A client that reads a namespace at the endpoint of the rig's kubeconfig, with its certificate."""
    config = yaml.safe_load(rig.kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    directory = rig.directory / "credentials"
    directory.mkdir(mode=0o700)
    directory.joinpath("ca.crt").write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
    pair = (user["client-certificate-data"], user["client-key-data"])
    directory.joinpath("client.pem").write_bytes(b"".join(base64.b64decode(half) for half in pair))
    address = f"{cluster['server']}/api/v1/namespaces/default"
    # An API server on one processor is slow beside much else: slow is not away.
    with asking(rig, "api", address, patience=10.0, credentials=str(directory)) as client:
        yield client
