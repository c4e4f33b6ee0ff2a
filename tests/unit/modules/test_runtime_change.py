"""A node gets another container runtime: hosts as directories, programs answered; the real thing is done on the lab."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import Programs, library

runtime_change = library("runtime_change")
Changes = library("provision_host").Changes
HostError = library("provision_host").HostError
Record = library("provision_record").Record

INSTANCE = """\
apiVersion: kubelet.config.k8s.io/v1beta1
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
kind: KubeletConfiguration
"""
STATUS = "Package: {}\nStatus: hold ok installed\nVersion: 1\n\n"
GATE = "--feature-gates=ExtendWebSocketsToKubelet=false"
LOADED = "LoadState=loaded\nActiveState=active\nUnitFileState=enabled\n"


@pytest.fixture
def node(root: Path) -> Path:
    """A node with containerd and CRI-O, both of which came with this tool."""
    files = {
        # As kubeadm 1.36.3 writes the two.
        "var/lib/kubelet/instance-config.yaml": 'containerRuntimeEndpoint: "unix:///run/containerd/containerd.sock"\n',
        "var/lib/kubelet/config.yaml": INSTANCE + "cgroupDriver: systemd\n",
        "var/lib/dpkg/status": STATUS.format("containerd.io") + STATUS.format("cri-o"),
        "etc/containerd/config.toml": "# Written by provision.\nversion = 3\n",
        "etc/apt/sources.list.d/provision-docker.sources": "# Written by provision.\n",
        "etc/apt/sources.list.d/provision-crio.sources": "# Written by provision.\n",
        "etc/crio/crio.conf.d/20-provision.conf": "# Written by provision.\n",
        "var/lib/containerd/io.containerd/images": "layers",
        "proc/self/mountinfo": "",
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    record = Record("files", root=root)
    for repository, package in (("docker", "containerd.io"), ("crio", "cri-o")):
        record.note("packages", repository, {"packages": [package], "installed": [], "held": []})
    for name, text in files.items():
        if name.startswith("etc/"):
            record.note("files", str(root / name), None)
            record.note_written(root / name, text)
    return root


def provide(
    root: Path, programs: Programs, state: str, to: str = "crio", *, upgrade: bool = False
) -> tuple[Any, Any]:
    changes = Changes(record=Record("files", root=root))
    wanted = {"to": to, "state": state, "upgrade": upgrade, "flags": {"docker": [GATE]}}
    return runtime_change.provide(wanted, changes, root=root, run=programs), changes


def endpoints(root: Path) -> set[str]:
    """The socket in the kubelet's files."""
    texts = [
        (root / "var/lib/kubelet" / name).read_text() for name in ("instance-config.yaml", "config.yaml")
    ]
    return {
        line.partition(": ")[2].strip('"')
        for text in texts
        for line in text.splitlines()
        if "Endpoint" in line
    }


def test_a_node_that_uses_another_runtime_is_marked_until_the_end(node: Path, programs: Programs) -> None:
    marker = node / "var/lib/provision/runtime-change"
    assert provide(node, programs, "begun")[0] == {"pending": True}
    assert marker.exists()
    provide(node, programs, "changed")
    assert provide(node, programs, "begun")[0] == {"pending": False}
    assert marker.exists()
    provide(node, programs, "finished")
    assert not marker.exists()


def test_a_node_with_the_wanted_runtime_is_not_marked(node: Path, programs: Programs) -> None:
    assert provide(node, programs, "begun", to="containerd")[0] == {"pending": False}
    assert not (node / "var/lib/provision/runtime-change").exists()


def test_pods_end_in_order_and_the_kubelet_gets_the_other_socket(node: Path, programs: Programs) -> None:
    programs.answer("systemctl", "show", out=LOADED)
    programs.answer("crictl", "pods", "--quiet", out="system1\nown1\n")
    programs.answer("crictl", "pods", "--namespace=kube-system", out="system1\n")

    provide(node, programs, "changed")

    order = [" ".join(call) for call in programs.calls]
    removed = [call.rpartition(" ")[2] for call in order if " rmp " in call]
    assert removed == ["own1", "system1"]
    assert all(
        "--runtime-endpoint=unix:///run/containerd/containerd.sock" in call for call in order if "rmp" in call
    )
    stopped = [call for call in order if call.startswith("systemctl stop")]
    assert stopped == ["systemctl stop kubelet.service", "systemctl stop containerd.service"]
    assert order.index("systemctl stop kubelet.service") < order.index(next(c for c in order if " rmp " in c))
    assert order[-1] == "systemctl start kubelet.service"
    assert endpoints(node) == {"unix:///run/crio/crio.sock"}
    # They are kubeadm's: a reset must not put them back.
    assert not any("kubelet" in path for path in Record("files", root=node).noted("files"))


def test_a_change_that_was_cut_off_after_the_switch_touches_no_pods_of_the_new_runtime(
    node: Path, programs: Programs
) -> None:
    provide(node, programs, "changed")
    programs.calls.clear()
    programs.answer("systemctl", "show", out=LOADED)
    provide(node, programs, "changed")
    assert not any("crictl" in call for call in programs.calls)
    assert programs.ran("systemctl", "start", "kubelet.service")


def test_the_former_runtime_leaves_with_its_files_and_the_other_stays(node: Path, programs: Programs) -> None:
    programs.answer("systemctl", "show", out=LOADED)
    provide(node, programs, "changed")

    _, changes = provide(node, programs, "finished")

    assert "removed the packages containerd.io" in changes.sentences
    assert not (node / "etc/containerd").exists()
    assert not (node / "var/lib/containerd").exists()
    assert not (node / "etc/apt/sources.list.d/provision-docker.sources").exists()
    assert (node / "etc/crio/crio.conf.d/20-provision.conf").exists()
    assert (node / "etc/apt/sources.list.d/provision-crio.sources").exists()
    assert not programs.ran("systemctl", "stop", "crio.service")


def test_a_runtime_of_others_stays(node: Path, programs: Programs) -> None:
    path = node / "var/lib/provision/before/files.json"
    noted = json.loads(path.read_text())
    noted["packages"]["docker"]["installed"] = ["containerd.io"]
    path.write_text(json.dumps(noted))
    programs.answer("systemctl", "show", out=LOADED)

    provide(node, programs, "changed")
    _, changes = provide(node, programs, "finished")

    assert (node / "etc/containerd/config.toml").exists()
    assert not programs.ran("systemctl", "stop", "containerd.service")
    assert not any("removed the packages" in sentence for sentence in changes.sentences)


def test_a_host_that_is_no_node_is_refused(root: Path, programs: Programs) -> None:
    with pytest.raises(HostError, match="is no node"):
        provide(root, programs, "begun")


def test_a_dry_run_changes_nothing(node: Path, programs: Programs) -> None:
    changes = Changes(dry=True)
    for state in ("begun", "changed", "finished"):
        wanted: dict[str, Any] = {"to": "crio", "state": state, "upgrade": False, "flags": {}}
        runtime_change.provide(wanted, changes, root=node, run=programs)
    assert endpoints(node) == {"unix:///run/containerd/containerd.sock"}
    assert (node / "etc/containerd/config.toml").exists()
    assert not (node / "var/lib/provision/runtime-change").exists()


@pytest.fixture
def docker_node(node: Path) -> Path:
    """A node with Docker, which came with this tool, and containerd below it, configured for the kubelet by now."""
    files = {
        "var/lib/kubelet/instance-config.yaml": 'containerRuntimeEndpoint: "unix:///run/cri-dockerd.sock"\n',
        "var/lib/kubelet/kubeadm-flags.env": f'KUBELET_KUBEADM_ARGS="{GATE} --node-ip=10.0.0.21"\n',
        "var/lib/dpkg/status": "".join(
            STATUS.format(name).replace("Version", "Depends: containerd.io (>= 1.7.27)\nVersion")
            if name == "docker-ce"
            else STATUS.format(name)
            for name in ("containerd.io", "docker-ce", "docker-ce-cli")
        ),
        "etc/docker/daemon.json": "{}\n",
        "etc/systemd/system/cri-docker.service": "# Written by provision.\n",
        "etc/systemd/system/cri-docker.socket": "# Written by provision.\n",
        "opt/cri-dockerd/0.4.0/cri-dockerd": "program",
        "var/lib/docker/containers/one": "layers",
    }
    record = Record("files", root=node)
    path = node / "var/lib/provision/before/files.json"
    noted = json.loads(path.read_text())
    del noted["packages"]["crio"]
    path.write_text(json.dumps(noted))
    for name, text in files.items():
        path = node / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        if name.startswith("etc/"):
            record.note("files", str(path), None)
            record.note_written(path, text)
    record.note(
        "packages",
        "docker:docker-ce+docker-ce-cli",
        {"packages": ["docker-ce", "docker-ce-cli"], "installed": ["containerd.io"], "held": []},
    )
    return node


def test_docker_leaves_and_the_containerd_below_it_takes_over(docker_node: Path, programs: Programs) -> None:
    programs.answer("systemctl", "show", out=LOADED)
    programs.answer("crictl", "pods", "--quiet", out="one\n")

    provide(docker_node, programs, "changed", to="containerd")
    order = [" ".join(call) for call in programs.calls]
    _, changes = provide(docker_node, programs, "finished", to="containerd")

    assert [call.split()[-1] for call in order if call.startswith("systemctl stop")] == [
        "kubelet.service",
        "cri-docker.socket",
        "cri-docker.service",
        "docker.socket",
        "docker.service",
    ]
    ended = next(number for number, call in enumerate(order) if " rmp " in call)
    assert ended < order.index("systemctl stop cri-docker.service")
    flags = (docker_node / "var/lib/kubelet/kubeadm-flags.env").read_text()
    assert flags == 'KUBELET_KUBEADM_ARGS="--node-ip=10.0.0.21"\n'
    assert endpoints(docker_node) == {"unix:///run/containerd/containerd.sock"}
    assert "removed the packages docker-ce, docker-ce-cli" in changes.sentences
    assert (docker_node / "etc/apt/sources.list.d/provision-docker.sources").exists()
    assert (docker_node / "etc/containerd/config.toml").exists()
    assert (docker_node / "var/lib/containerd/io.containerd/images").exists()
    for gone in ("etc/docker", "var/lib/docker", "opt/cri-dockerd", "etc/systemd/system/cri-docker.service"):
        assert not (docker_node / gone).exists(), gone


def test_docker_takes_over_from_the_containerd_on_which_it_runs(
    docker_node: Path, programs: Programs
) -> None:
    endpoint = 'containerRuntimeEndpoint: "unix:///run/containerd/containerd.sock"\n'
    (docker_node / "var/lib/kubelet/instance-config.yaml").write_text(endpoint)
    (docker_node / "var/lib/kubelet/kubeadm-flags.env").write_text('KUBELET_KUBEADM_ARGS=""\n')
    programs.answer("systemctl", "show", out=LOADED)

    provide(docker_node, programs, "changed", to="docker")
    _, changes = provide(docker_node, programs, "finished", to="docker")

    flags = (docker_node / "var/lib/kubelet/kubeadm-flags.env").read_text()
    assert flags == f'KUBELET_KUBEADM_ARGS="{GATE}"\n'
    assert endpoints(docker_node) == {"unix:///run/cri-dockerd.sock"}
    assert not programs.ran("systemctl", "stop", "containerd.service")
    assert not any("removed the packages" in sentence for sentence in changes.sentences)
    assert not (docker_node / "etc/containerd/config.toml").exists()
    assert (docker_node / "var/lib/containerd").exists()
    assert (docker_node / "etc/docker/daemon.json").exists()


def test_a_change_that_was_cut_off_before_the_kubelet_started_is_not_over(
    node: Path, programs: Programs
) -> None:
    provide(node, programs, "begun")
    provide(node, programs, "changed")
    programs.answer("systemctl", "is-active", "--quiet", "kubelet.service", status=3)
    assert provide(node, programs, "begun")[0] == {"pending": True}


def test_pods_end_before_the_runtime_of_a_node_is_upgraded(node: Path, programs: Programs) -> None:
    programs.answer("systemctl", "show", out=LOADED)
    programs.answer("crictl", "pods", "--quiet", out="one\n")

    assert provide(node, programs, "begun", to="containerd", upgrade=True)[0] == {"pending": True}
    provide(node, programs, "stopped", to="containerd", upgrade=True)
    stopped = [" ".join(call) for call in programs.calls if call[1] != "is-active"]
    programs.calls.clear()
    provide(node, programs, "changed", to="containerd", upgrade=True)

    assert [call for call in stopped if " stop " in call] == ["systemctl stop kubelet.service"]
    assert any(call.endswith("rmp --force one") for call in stopped)
    assert programs.ran("systemctl", "start", "kubelet.service")
    assert not any("rmp" in call for call in programs.calls)
    assert endpoints(node) == {"unix:///run/containerd/containerd.sock"}
