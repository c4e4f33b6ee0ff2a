"""A reset of a host with Docker: one that came with us goes, another one keeps what is not of Kubernetes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from . import test_host_reset
from .conftest import library
from .test_host_reset import SAVED, Host, changes_of, prepare, reset

if TYPE_CHECKING:
    from pathlib import Path

host = test_host_reset.host  # a fixture
cri = library("provision_cri")
firewall = library("provision_firewall")
host_files = library("host_files")
host_prepare = library("host_prepare")
links = library("provision_links")
Changes = library("provision_host").Changes
Record = library("provision_record").Record

PACKAGES = ("containerd.io", "docker-ce", "docker-ce-cli")
LOADED = "LoadState=loaded\nActiveState=active\nUnitFileState=enabled\n"
OWN = '{"data-root": "/srv/docker"}\n'


def install(root: Path, host: Host, *, ours: bool) -> None:
    """What the role docker does on a host with or without Docker."""
    (root / "var/lib/dpkg").mkdir(parents=True, exist_ok=True)
    status = "".join(f"Package: {name}\nStatus: hold ok installed\nVersion: 1-1\n\n" for name in PACKAGES)
    (root / "var/lib/dpkg/status").write_text(status, encoding="utf-8")
    before = [] if ours else list(PACKAGES)
    host.answer("systemctl", "show", out=LOADED)
    if not ours:
        (root / "etc/docker").mkdir()
        (root / "etc/docker/daemon.json").write_text(OWN, encoding="utf-8")
    prepare(root, host)
    file: dict[str, Any] = {"mode": "", "owner": "", "block": False, "json": False}
    files = [
        {**file, "path": "/etc/docker/daemon.json", "content": '{"log-driver": "json-file"}', "json": True},
        {
            **file,
            "path": "/etc/systemd/system/cri-docker.service",
            "content": "# Written by provision.\n[Service]\n",
        },
    ]
    units = ["docker.service", "cri-docker.service"]
    wanted: dict[str, Any] = {"files": files, "prune": [], "units": units}
    host_files.provide(
        wanted, changes_of(root), root=root, run=host, pending_directory=root / "run/provision"
    )
    record = Record("files", root=root)
    record.note("packages", "docker", {"packages": list(PACKAGES), "installed": before, "held": before})
    for place in ("var/lib/docker/containers", "var/lib/containerd", "opt/cri-dockerd/0.4.0"):
        (root / place).mkdir(parents=True)
    host.calls.clear()


def position(host: Host, *words: str) -> int:
    return next(number for number, call in enumerate(host.calls) if set(words) <= set(call))


def test_a_docker_that_came_with_us_leaves_with_everything_that_it_kept(root: Path, host: Host) -> None:
    install(root, host, ours=True)
    assert (root / "etc/docker/daemon.json").exists()

    changes = reset(root, host)

    assert f"removed the packages {', '.join(PACKAGES)}" in changes.sentences
    for unit in ("cri-docker.socket", "cri-docker.service", "docker.socket", "docker.service"):
        assert host.ran("systemctl", "disable", unit), unit
    assert position(host, "stop", "docker.socket") < position(host, "stop", "docker.service")
    assert position(host, "stop", "docker.service") < position(host, "stop", "containerd.service")
    for place in ("etc/docker", "var/lib/docker", "var/lib/containerd", "opt/cri-dockerd"):
        assert not (root / place).exists(), place
    assert not (root / "etc/systemd/system/cri-docker.service").exists()
    assert not host.ran("docker", "rm")

    host.answer("systemctl", "show", out="LoadState=not-found\n")
    assert reset(root, host).sentences == []


@pytest.mark.parametrize(
    ("before", "now", "goes"),
    [
        (None, [], True),
        ([], [], False),  # it was there
        (None, ["ubuntu"], False),
        (None, None, False),  # the package took it along
    ],
)
def test_the_group_of_docker_goes_if_it_came_with_us_and_is_empty(
    root: Path,
    host: Host,
    monkeypatch: pytest.MonkeyPatch,
    *,
    before: list[str] | None,
    now: list[str] | None,
    goes: bool,
) -> None:
    monkeypatch.setattr(host_prepare, "group_members", lambda _name: before)
    monkeypatch.setattr(cri, "group_members", lambda _name: now)
    install(root, host, ours=True)

    reset(root, host)

    assert host.ran("groupdel", "docker") is goes


def test_a_docker_of_others_keeps_all_but_the_containers_of_kubernetes(
    root: Path,
    host: Host,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install(root, host, ours=False)
    monkeypatch.setattr(
        cri.shutil, "which", lambda name, **_: "/usr/bin/dockerd" if name == "dockerd" else None
    )
    host.answer("systemctl", "is-active", status=3)
    host.answer("docker", "ps", out="aaa\nbbb\n")

    changes = reset(root, host)

    assert (root / "etc/docker/daemon.json").read_text(encoding="utf-8") == OWN
    assert "removed 2 containers of Kubernetes from Docker" in changes.sentences
    assert host.ran("docker", "ps", "--filter=label=io.kubernetes.pod.uid")
    assert host.ran("docker", "rm", "--force", "aaa", "bbb")
    # It was stopped for its former configuration, and reads that when it starts.
    assert position(host, "stop", "docker.service") < position(host, "start", "docker.service")
    assert position(host, "start", "docker.service") < position(host, "docker", "rm")
    assert not host.ran("systemctl", "stop", "containerd.service")
    assert host.ran("systemctl", "disable", "cri-docker.service")
    assert not host.ran("systemctl", "disable", "docker.service")
    assert (root / "var/lib/docker/containers").exists()
    assert not (root / "opt/cri-dockerd").exists()


def test_a_docker_beside_another_runtime_is_left_alone(
    root: Path,
    host: Host,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prepare(root, host)
    host.answer("systemctl", "show", out=LOADED)
    monkeypatch.setattr(
        cri.shutil, "which", lambda name, **_: "/usr/bin/dockerd" if name == "dockerd" else None
    )

    reset(root, host)

    units = [call for call in host.calls if call[:2] in (["systemctl", "stop"], ["systemctl", "start"])]
    assert not [call for call in units if "docker" in call[2]]


def test_rules_and_the_bridge_of_docker_go_with_it_alone(root: Path, host: Host) -> None:
    kept = firewall.removal(SAVED, "10.244.0.0/16")
    gone = firewall.removal(SAVED, "10.244.0.0/16", docker=True)
    assert "DOCKER" not in kept
    assert "docker0" not in kept
    assert "-D PREROUTING -m addrtype --dst-type LOCAL -j DOCKER\n" in gone
    assert "-D POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE\n" in gone
    assert "-F DOCKER\n" in gone
    assert "-X DOCKER\n" in gone

    (root / "sys/class/net/docker0").mkdir(parents=True)
    links.remove_links(Changes(), root=root, run=host)
    assert not host.ran("delete", "docker0")
    links.remove_links(Changes(), root=root, run=host, docker_leaves=True)
    assert host.ran("ip", "link", "delete", "docker0")
