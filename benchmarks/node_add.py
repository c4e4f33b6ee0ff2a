"""Cost of `provision node add` by cluster size N: seconds, hosts contacted, ssh executions. It should be constant.

usage: python benchmarks/node_add.py [N ...]        (default 2 10 100 1000)

The cluster is recorded. Two real sshd on loopback, the control plane and the new host, answer the probe with recorded
documents; Ansible's ssh is a shim that counts executions and reports success for every module. So all code of the
controller runs, and no host is changed. The cluster lock, one more session with the control plane for any N, is left
out. Budget: N = 1000 takes as long as N = 10, within 20 %.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from provision.ansible import playbooks
from provision.cli.interaction import Terminal
from provision.config.edit import add_hosts, load_edited
from provision.engine.executor import execute
from provision.model.cluster import Cluster, Host
from provision.providers.kubeadm.host_programs import BEGIN, END
from provision.providers.kubeadm.operations.nodes import AddNodes
from tests.unit.providers.kubeadm import factories
from tests.unit.ssh import sshd

SIZES = (2, 10, 100, 1000)
NEW = "new"
# Results of the library's modules on success.
DONE = {
    "changed": True,
    "changes": [],
    "proofs": ["recorded"],
    "problem": "",
    "token": "recorded",
    "ca_hash": "recorded",
    "certificate_key": "",
    "address": "127.0.0.1",
}
SHIM = f"""#!{sys.executable}
import sys
with open(LOG, "a") as log:
    log.write(" ".join(sys.argv[1:]) + "\\n")
if "exit" not in sys.argv:
    sys.stdin.read()
    print({json.dumps(DONE)!r})
"""


def recorded(count: int) -> tuple[Cluster, dict[str, factories.Document]]:
    """A cluster of `count` nodes, and the documents of its control plane and of a new host."""
    cluster = factories.cluster("cp", *["w"] * (count - 1), network={"pod_cidr": "10.128.0.0/10"})
    hosts = tuple(
        host.model_copy(update={"address": f"198.18.{number // 250}.{number % 250 + 1}"})
        for number, host in enumerate(cluster.hosts)
    )
    cluster = cluster.model_copy(update={"hosts": hosts})
    documents = {
        "cp1": factories.member(hosts[0]),
        NEW: factories.fresh(Host(name=NEW, address="10.0.0.9", role="worker")),
    }
    answer = factories.api(*hosts)
    answer["configuration"] = answer["configuration"].replace("10.244.0.0/16", "10.128.0.0/10")
    answer["note"]["pod_cidr"] = "10.128.0.0/10"
    documents["cp1"]["api"] = answer
    now = {"time": time.time()}
    return cluster, {name: {**document, **now} for name, document in documents.items()}


def record(directory: Path, name: str, document: factories.Document) -> None:
    """Let the server of that name answer every probe with the document."""
    (directory / name / "answer").write_text(f"{BEGIN}\n{json.dumps(document)}\n{END}\n")


def only_answers(directory: Path, key: Path) -> None:
    """Let a server run a fixed program for every command of an authorised client."""
    command = f'command="cat {directory}/answer; cat > /dev/null"'
    (directory / "authorized").write_text(f"{command} {key.with_suffix('.pub').read_text()}")


def measure(count: int, directory: Path, servers: dict[str, sshd.Server]) -> str:
    cluster, documents = recorded(count)
    for name, document in documents.items():
        record(directory, name, document)
    control_plane = cluster.hosts[0].model_copy(
        update={"address": "bench-cp1", "port": servers["cp1"].port, "host_key": servers["cp1"].host_key}
    )
    new = Host(
        name=NEW, address="bench-new", role="worker", port=servers[NEW].port, host_key=servers[NEW].host_key
    )
    file = directory / f"{count}.yaml"
    lines = [
        f"  - {{name: {host.name}, address: {host.address}, role: {host.role}}}" for host in cluster.hosts[1:]
    ]
    file.write_text(
        f'name: demo\nkubernetes: "1.36.3"\nnetwork: {{pod_cidr: 10.128.0.0/10}}\n'
        f"ssh: {{user: {servers[NEW].user}, key: {servers[NEW].key}}}\nhosts:\n"
        f"  - {{name: cp1, address: bench-cp1, role: control-plane, port: {control_plane.port}, "
        f"host_key: {control_plane.host_key}}}\n" + "\n".join(lines) + "\n"
    )
    log = directory / "ssh.log"
    log.write_text("")
    logins = {name: server.logins() for name, server in servers.items()}
    started = time.monotonic()
    edit = add_hosts([new])
    operation = AddNodes(loaded=load_edited(file, edit), names=(NEW,), command="", edit=edit)
    seen = operation.observe(lambda _event: None, Terminal())
    steps = operation.plan(seen)
    looked = time.monotonic() - started
    operation.begin(seen)
    few = operation.cluster.model_copy(
        update={
            "hosts": tuple(host for host in operation.cluster.hosts if host.name in seen.observation.hosts)
        }
    )
    with playbooks(few) as backend:
        outcome = execute(steps, backend.run_step, lambda _event: None, threading.Event())
    if not outcome.ok:
        sys.exit(f"error: {', '.join(outcome.failed_steps)} failed")
    seconds = time.monotonic() - started
    contacted = [name for name, server in servers.items() if server.logins() > logins[name]]
    executions = sum("-O exit" not in line for line in log.read_text().splitlines())
    return (
        f"{count:6}  {looked:8.2f}  {seconds:9.2f}  {len(contacted):5}  {sum(logins_since(servers, logins)):6}  "
        f"{executions:10}  {len(steps):5}"
    )


def logins_since(servers: dict[str, sshd.Server], before: dict[str, int]) -> list[int]:
    return [server.logins() - before[name] for name, server in servers.items()]


def main() -> None:
    sizes = [int(word) for word in sys.argv[1:]] or SIZES
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        directory = Path(name)
        shim = directory / "bin" / "ssh"
        shim.parent.mkdir()
        shim.write_text(SHIM.replace("LOG", repr(str(directory / "ssh.log"))))
        shim.chmod(0o755)
        os.environ["PATH"] = f"{shim.parent}:{os.environ['PATH']}"
        # The rules of the file refuse loopback as a node address; the OpenSSH configuration may map to it.
        (directory / ".ssh").mkdir()
        (directory / ".ssh" / "config").write_text(f"Host bench-*\n  HostName {sshd.ADDRESS}\n")
        os.environ["HOME"] = name
        print(" nodes  look (s)  whole (s)  hosts  logins  executions  steps")
        for place in ("cp1", NEW):
            (directory / place).mkdir()
        with sshd.running(directory / "cp1") as first, sshd.running(directory / NEW) as second:
            only_answers(directory / "cp1", second.key)
            only_answers(directory / NEW, second.key)
            for size in sizes:
                print(measure(size, directory, {"cp1": first, NEW: second}), flush=True)


if __name__ == "__main__":
    main()
