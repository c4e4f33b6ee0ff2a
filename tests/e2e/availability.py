"""A client that polls one address from inside the lab's network and logs the result of each request."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from .lab_cluster import CONDITION_TIMEOUT, wait_for

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
_PORT = 30080
# Two pods on different nodes that drain connections before they stop, and are never evicted both at once.
_WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      affinity:
        nodeAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
            nodeSelectorTerms:
              - matchExpressions: [{{key: kubernetes.io/hostname, operator: In, values: {nodes}}}]
        podAntiAffinity:
          preferredDuringSchedulingIgnoredDuringExecution:
            - weight: 100
              podAffinityTerm: {{topologyKey: kubernetes.io/hostname, labelSelector: {{matchLabels: {{app: web}}}}}}
      containers:
        - name: web
          image: registry.k8s.io/e2e-test-images/agnhost:2.63.0
          args: [netexec, --http-port=8080]
          # Without a request it gets no time at all while the one processor of its machine unpacks images.
          resources: {{requests: {{cpu: 100m}}}}
          readinessProbe: {{httpGet: {{path: /healthz, port: 8080}}, periodSeconds: 2}}
          lifecycle: {{preStop: {{sleep: {{seconds: 8}}}}}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{name: web}}
spec: {{minAvailable: 1, selector: {{matchLabels: {{app: web}}}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec:
  type: NodePort
  selector: {{app: web}}
  ports: [{{port: 80, targetPort: 8080, nodePort: {port}}}]
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
def polling_web(cluster: LabCluster, nodes: Sequence[str], *, at: str) -> Iterator[Client]:
    """Run a web service of two pods on these nodes and poll it at the address of another one."""
    manifest = cluster.directory / "web.yaml"
    manifest.write_text(_WEB.format(nodes=json.dumps(list(nodes)), port=_PORT))
    cluster.kubectl("apply", "--filename", str(manifest))
    ready = "jsonpath={.status.readyReplicas}"
    wait_for(
        "both pods",
        lambda: cluster.kubectl("get", "deployment", "web", "-o", ready) == "2",
        CONDITION_TIMEOUT,
    )
    with polling(cluster, "web", f"http://{at}:{_PORT}/hostname") as client:
        yield client


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
