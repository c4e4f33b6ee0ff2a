"""Container runtimes other than the default one, on lab machines with real programs: a cluster is made and taken back.

One lab per runtime: a control plane and a worker with it, and a second worker with containerd. The tests run in order.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from . import host_state
from .lab_cluster import LabCluster, running_lab

pytestmark = [pytest.mark.lab, pytest.mark.life]

HOSTS = ("cp1", "w1", "w2")
# Name of the runtime as nodes report it, by its name in the cluster file.
REPORTED = {"crio": "cri-o"}
# Everything that a runtime leaves on a host, whichever it is.
LEFT = (
    "/etc/containerd /etc/crio /etc/containers /etc/docker /etc/crictl.yaml /etc/cni /opt/cni "
    "/var/lib/containerd /var/lib/containers /var/lib/crio /var/lib/docker /run/containerd /run/crio /run/containers"
)


@dataclass
class RuntimeCluster(LabCluster):
    """`runtime`: of the first two hosts; `before`: the state of each host when it was new."""

    runtime: str = ""
    before: dict[str, list[str]] = field(default_factory=dict)


@pytest.fixture(scope="module", params=REPORTED)
def cluster(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RuntimeCluster]:
    runtime: str = request.param
    cluster = RuntimeCluster(f"test-{runtime}", tmp_path_factory.mktemp("cluster"), runtime)
    with running_lab(cluster, "--workers", "2", "--runtime", runtime, "--runtime", "containerd"):
        text = cluster.file.read_text()
        assert f"runtime: {runtime}\n" in text
        before, name, after = text.partition("  - name: w2\n")
        assert name
        cluster.file.write_text(f"{before}{name}    runtime: containerd\n{after}")
        for host in HOSTS:
            cluster.before[host] = host_state.state(cluster, host)
        yield cluster


def test_a_cluster_is_created_and_every_node_runs_its_own_runtime(cluster: RuntimeCluster) -> None:
    done = cluster.provision("apply", "--yes")

    assert done.returncode == 0, done.stderr
    nodes = json.loads(cluster.kubectl("get", "nodes", "--output", "json"))["items"]
    found = {
        node["metadata"]["name"]: node["status"]["nodeInfo"]["containerRuntimeVersion"].partition("://")[0]
        for node in nodes
    }
    reported = REPORTED[cluster.runtime]
    assert found == {"cp1": reported, "w1": reported, "w2": "containerd"}
    assert set(cluster.nodes().values()) == {"Ready"}


def test_commands_run_in_pods_and_their_output_is_there(cluster: RuntimeCluster) -> None:
    """What `kubectl exec` and `kubectl logs` need of the runtime's streaming server, on a node of each runtime."""
    image = yaml.safe_load((Path(__file__).parents[2] / "provision/versions.yaml").read_text())["smoke_test"][
        "image"
    ]
    for host in ("w1", "w2"):
        pod = {"nodeName": host, "terminationGracePeriodSeconds": 0}
        command = ("run", f"on-{host}", f"--image={image}", "--restart=Never")
        overrides = f"--overrides={json.dumps({'spec': pod})}"
        cluster.kubectl(*command, overrides, "--command", "--", "sh", "-c", "echo started; exec sleep 600")
        cluster.kubectl("wait", "--for=condition=Ready", f"pod/on-{host}", "--timeout=100s")

        assert cluster.kubectl("exec", f"on-{host}", "--", "hostname") == f"on-{host}\n"
        assert cluster.kubectl("logs", f"on-{host}") == "started\n"
        cluster.kubectl("delete", "pod", f"on-{host}", "--wait=true")


def test_a_second_apply_has_nothing_to_do(cluster: RuntimeCluster) -> None:
    done = cluster.provision("apply", "--yes")

    assert done.returncode == 0, done.stderr
    assert "nothing to do" in done.stdout


def test_a_changed_configuration_is_found_and_put_right(cluster: RuntimeCluster) -> None:
    file = {"crio": "/etc/crio/crio.conf.d/20-provision.conf"}[cluster.runtime]
    cluster.on("w1", f"sudo sed -i s/systemd/cgroupfs/ {file}")

    planned = cluster.provision("plan", "-o", "json")
    done = cluster.provision("apply", "--yes")

    steps = json.loads(planned.stdout)["steps"]
    assert [step["name"] for step in steps] == [f"install-{cluster.runtime}", "wait-ready"]
    assert [step["hosts"] for step in steps[:1]] == [["w1"]]
    assert done.returncode == 0, done.stderr
    assert cluster.on("w1", f"grep -c systemd {file}") != "0\n"
    assert set(cluster.nodes().values()) == {"Ready"}


def test_another_runtime_for_a_node_is_refused_and_nothing_is_changed(cluster: RuntimeCluster) -> None:
    text = cluster.file.read_text()
    cluster.file.write_text(text.replace("    runtime: containerd\n", ""))
    try:
        done = cluster.provision("apply", "--yes")
    finally:
        cluster.file.write_text(text)

    assert done.returncode == 4, done.stdout
    assert "w2" in done.stderr
    assert "it is a node with containerd" in done.stderr


def test_a_reset_leaves_every_host_as_it_was(cluster: RuntimeCluster) -> None:
    done = cluster.provision("reset", "--yes")

    assert done.returncode == 0, done.stderr
    host_state.assert_no_cluster_files(cluster, HOSTS)
    for host in HOSTS:
        assert cluster.on(host, f"ls -d {LEFT} 2>/dev/null || true") == "", host
        now, before = host_state.state(cluster, host), cluster.before[host]
        assert [line for line in now if line not in before] == [], host
        assert [line for line in before if line not in now] == [], host
