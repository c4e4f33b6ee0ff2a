"""A client that polls one address from inside the lab's network and logs the result of each request."""

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
    from .lab_cluster import LabCluster

# Arguments: address, timeout in seconds, log file, directory with ca.crt and client.pem for HTTPS (may be empty).
_CLIENT = """
import ssl, sys, time, urllib.request
address, timeout, log, credentials = sys.argv[1:]
context = None
if credentials:
    context = ssl.create_default_context(cafile=credentials + "/ca.crt")
    context.load_cert_chain(credentials + "/client.pem")
with open(log, "a", buffering=1) as file:
    while True:
        started = time.time()
        try:
            with urllib.request.urlopen(address, timeout=float(timeout), context=context) as response:
                result = "ok" if response.status == 200 else str(response.status)
        except Exception as error:
            result = repr(error).replace("\\n", " ")
        print(started, result, file=file)
        time.sleep(max(0, 0.25 - (time.time() - started)))
"""


@dataclass
class Client:
    """Sends a request every 0.25 s; each line of `log` has its start time and "ok" or the error."""

    log: Path

    def failures(self, since: float) -> list[str]:
        """Failed requests since that time (seconds since the epoch). Asserts that requests were sent."""
        rows = [line.split(" ", 1) for line in self.log.read_text().splitlines() if " " in line]
        requests = [row for row in rows if float(row[0]) >= since]
        assert requests, f"no request since {since}"
        return [" ".join(row) for row in requests if row[1] != "ok"]


@contextmanager
def polling(
    cluster: LabCluster, name: str, address: str, *, timeout: float = 3.0, credentials: str = ""
) -> Iterator[Client]:
    """Poll the address until the end of the block; `credentials` is the directory that HTTPS needs.

    A request without a response after `timeout` seconds has failed.
    """
    client = Client(cluster.directory / f"{name}.requests")
    command = cluster.lab_command(
        sys.executable, "-c", _CLIENT, address, str(timeout), str(client.log), credentials
    )
    with subprocess.Popen(command) as process:
        try:
            yield client
        finally:
            process.kill()


@contextmanager
def polling_api(cluster: LabCluster) -> Iterator[Client]:
    """Poll a namespace at the endpoint of the cluster's kubeconfig, with its client certificate."""
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    server, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    directory = cluster.directory / "credentials"
    directory.mkdir(mode=0o700)
    directory.joinpath("ca.crt").write_bytes(base64.b64decode(server["certificate-authority-data"]))
    pair = (user["client-certificate-data"], user["client-key-data"])
    directory.joinpath("client.pem").write_bytes(b"".join(base64.b64decode(half) for half in pair))
    address = f"{server['server']}/api/v1/namespaces/default"
    # An API server on one busy CPU responds slowly; only a longer timeout counts as unavailable.
    with polling(cluster, "api", address, timeout=10.0, credentials=str(directory)) as client:
        yield client
