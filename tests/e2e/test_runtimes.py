"""Container runtimes other than the default one, on lab machines with real programs: a cluster is made and taken back.

One lab per runtime: a control plane and a worker with it, and a second worker with containerd. The tests run in order.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
import yaml

from provision.lab.versions import lab_versions

from . import host_state
from .availability import polling_web
from .lab_cluster import LabCluster, running_lab

pytestmark = [pytest.mark.lab, pytest.mark.life]

HOSTS = ("cp1", "w1", "w2")
# Name of the runtime as nodes report it, by its name in the cluster file.
REPORTED = {"containerd": "containerd", "crio": "cri-o", "docker": "docker"}
SOCKETS = {
    "containerd": "unix:///run/containerd/containerd.sock",
    "crio": "unix:///run/crio/crio.sock",
    "docker": "unix:///run/cri-dockerd.sock",
}
CONFIGURATION = {"crio": "/etc/crio/crio.conf.d/20-provision.conf", "docker": "/etc/docker/daemon.json"}
# What is gone when a node has changed to another runtime. Docker runs on containerd, which stays.
GONE = {
    "containerd to crio": "/etc/containerd /var/lib/containerd",
    "crio to containerd": "/etc/crio /var/lib/containers /var/lib/crio",
    "containerd to docker": "/etc/containerd/config.toml /etc/containerd/certs.d",
    "docker to containerd": "/etc/docker /var/lib/docker /opt/cri-dockerd /etc/systemd/system/cri-docker.*",
}
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


@pytest.fixture(scope="module", params=["crio", "docker"])
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


def _versions(cluster: LabCluster) -> dict[str, str]:
    """Runtime and version that each node reports, `containerd://2.3.7`."""
    nodes = json.loads(cluster.kubectl("get", "nodes", "--output", "json"))["items"]
    return {node["metadata"]["name"]: node["status"]["nodeInfo"]["containerRuntimeVersion"] for node in nodes}


def _runtimes(cluster: LabCluster) -> dict[str, str]:
    """The runtime that each node reports."""
    return {name: version.partition("://")[0] for name, version in _versions(cluster).items()}


def test_a_cluster_is_created_and_every_node_runs_its_own_runtime(cluster: RuntimeCluster) -> None:
    done = cluster.provision("apply", "--yes")

    assert done.returncode == 0, done.stderr
    reported = REPORTED[cluster.runtime]
    assert _runtimes(cluster) == {"cp1": reported, "w1": reported, "w2": "containerd"}
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

        assert cluster.kubectl("exec", f"on-{host}", "--", "cat", "/etc/hostname") == f"on-{host}\n"
        assert cluster.kubectl("logs", f"on-{host}") == "started\n"
        cluster.kubectl("delete", "pod", f"on-{host}", "--wait=true")


def test_a_second_apply_has_nothing_to_do(cluster: RuntimeCluster) -> None:
    done = cluster.provision("apply", "--yes")

    assert done.returncode == 0, done.stderr
    assert "nothing to do" in done.stdout


def test_a_changed_configuration_is_found_and_put_right(cluster: RuntimeCluster) -> None:
    file = CONFIGURATION[cluster.runtime]
    cluster.on("w1", f"sudo sed -i s/systemd/cgroupfs/ {file}")

    planned = cluster.provision("plan", "-o", "json")
    done = cluster.provision("apply", "--yes")

    steps = json.loads(planned.stdout)["steps"]
    assert [step["name"] for step in steps] == [f"install-{cluster.runtime}", "wait-ready"]
    assert [step["hosts"] for step in steps[:1]] == [["w1"]]
    assert done.returncode == 0, done.stderr
    assert cluster.on("w1", f"grep -c systemd {file}") != "0\n"
    assert set(cluster.nodes().values()) == {"Ready"}


def _is_cordoned(cluster: RuntimeCluster, _output: str) -> bool:
    return "SchedulingDisabled" in cluster.nodes().get("w2", "")


def _is_switched(cluster: RuntimeCluster, _output: str) -> bool:
    file, marker = "/var/lib/kubelet/instance-config.yaml", "/var/lib/provision/runtime-change"
    wanted = cluster.on("w2", f"cat {marker} 2>/dev/null", succeed=False).removeprefix("to ").strip()
    return bool(wanted) and SOCKETS[wanted] in cluster.on("w2", f"sudo cat {file}", succeed=False)


def _has_stopped(cluster: LabCluster, _output: str, host: str = "w2") -> bool:
    return cluster.on(host, "systemctl is-active kubelet", succeed=False).strip() == "inactive"


def test_a_node_changes_its_runtime_and_back_while_a_service_stays_available(cluster: RuntimeCluster) -> None:
    """w2 goes from containerd to the other runtime and back; the run is killed in three phases of that."""
    text = cluster.file.read_text()
    address = yaml.safe_load(text)["hosts"][0]["address"]
    strikes = {cluster.runtime: (_is_cordoned, _has_stopped), "containerd": (_is_switched,)}
    with polling_web(cluster, ["w1", "w2"], at=address) as web:
        began = time.time()
        for wanted, conditions in strikes.items():
            cluster.file.write_text(text.replace("    runtime: containerd\n", f"    runtime: {wanted}\n"))
            for condition in conditions:
                when = partial(condition, cluster)
                code, _ = cluster.kill_when(condition.__name__, when, "apply", "--yes")
                assert code == -signal.SIGKILL
            done = cluster.provision("apply", "--yes")

            assert done.returncode == 0, done.stderr
            assert _runtimes(cluster)["w2"] == REPORTED[wanted]
            assert cluster.nodes()["w2"] == "Ready"
            former = next(name for name in strikes if name != wanted)
            assert cluster.on("w2", f"ls -d {GONE[f'{former} to {wanted}']} 2>/dev/null || true") == ""
            assert "nothing to do" in cluster.provision("apply", "--yes").stdout
        failures = web.failures(began)
    assert failures == []


def test_a_reset_leaves_every_host_as_it_was(cluster: RuntimeCluster) -> None:
    done = cluster.provision("reset", "--yes")

    assert done.returncode == 0, done.stderr
    host_state.assert_no_cluster_files(cluster, HOSTS)
    for host in HOSTS:
        assert cluster.on(host, f"ls -d {LEFT} 2>/dev/null || true") == "", host
        now, before = host_state.after_reset(host_state.state(cluster, host)), cluster.before[host]
        assert [line for line in now if line not in before] == [], host
        assert [line for line in before if line not in now] == [], host


def test_the_runtime_of_running_nodes_is_upgraded(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A control plane and a worker of their own, one line of containerd and then the next one."""
    cluster = LabCluster("test-upgrade", tmp_path_factory.mktemp("upgrade"))
    with running_lab(cluster, "--runtime", "containerd-2.2", "--runtime", "containerd"):
        older, newer = lab_versions().containerd[1], lab_versions().containerd[0]
        text = cluster.file.read_text()
        assert f'runtime_version: "{older}"\n' in text
        assert cluster.provision("apply", "--yes").returncode == 0
        assert _versions(cluster) == {"cp1": f"containerd://{older}", "w1": f"containerd://{older}"}

        cluster.file.write_text(text.replace(f'runtime_version: "{older}"', f'runtime_version: "{newer}"'))
        condition = partial(_has_stopped, cluster, host="w1")
        code, _ = cluster.kill_when("the kubelet has stopped", condition, "apply", "--yes")
        assert code == -signal.SIGKILL
        done = cluster.provision("apply", "--yes")

        assert done.returncode == 0, done.stderr
        assert _versions(cluster) == {"cp1": f"containerd://{newer}", "w1": f"containerd://{newer}"}
        assert set(cluster.nodes().values()) == {"Ready"}
        assert "nothing to do" in cluster.provision("apply", "--yes").stdout
