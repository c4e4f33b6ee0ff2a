from __future__ import annotations

import base64
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from provision import kubeconfig
from provision.errors import BusyError, FileError, ProvisionError

DATA = base64.b64encode(b"certificate").decode()


def admin_conf(server: str = "https://10.0.0.11:6443", authority: str = DATA, **user: object) -> str:
    """What kubeadm writes on a control plane."""
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": "kubernetes", "cluster": {"server": server, "certificate-authority-data": authority}}
            ],
            "contexts": [{"name": "admin@k", "context": {"cluster": "kubernetes", "user": "admin"}}],
            "users": [
                {
                    "name": "admin",
                    "user": {"client-certificate-data": DATA, "client-key-data": DATA, **user},
                }
            ],
            "current-context": "admin@k",
            "preferences": {},
        }
    )


MINE = """
apiVersion: v1
kind: Config
clusters:
- name: work
  cluster: {server: "https://work:6443", tls-server-name: api}
contexts:
- name: work
  context: {cluster: work, user: me, namespace: dev}
users:
- name: me
  user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: login}}
current-context: work
preferences: {colors: true}
"""


def read(path: Path) -> dict[str, Any]:
    config = yaml.safe_load(path.read_text())
    assert isinstance(config, dict)
    return config


def test_cluster_context_and_user_are_named_after_the_cluster() -> None:
    config = yaml.safe_load(kubeconfig.rename(admin_conf(), "demo"))

    assert (
        config["clusters"][0]["name"] == config["contexts"][0]["name"] == config["current-context"] == "demo"
    )
    assert config["contexts"][0]["context"] == {"cluster": "demo", "user": "demo-admin"}
    assert config["users"][0]["name"] == "demo-admin"


def test_a_host_cannot_inject_a_program_that_kubectl_would_run() -> None:
    text = kubeconfig.rename(admin_conf(exec={"command": "rm"}, tokenFile="/etc/passwd"), "demo")

    assert set(yaml.safe_load(text)["users"][0]["user"]) == {"client-certificate-data", "client-key-data"}


@pytest.mark.parametrize("text", ["", "[]", "a: [", "clusters: []", "clusters: [{cluster: {server: x}}]"])
def test_a_malformed_admin_kubeconfig_is_refused_with_its_path(text: str) -> None:
    with pytest.raises(ProvisionError, match=r"/etc/kubernetes/admin\.conf .* is not an admin kubeconfig"):
        kubeconfig.rename(text, "demo")


def test_the_file_has_mode_0600_and_replaces_a_link_instead_of_following_it(tmp_path: Path) -> None:
    elsewhere, path = tmp_path / "elsewhere", tmp_path / "demo.kubeconfig"
    elsewhere.write_text("mine")
    path.symlink_to(elsewhere)

    kubeconfig.write(path, "text")

    assert (path.read_text(), elsewhere.read_text()) == ("text", "mine")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["demo.kubeconfig", "elsewhere"]


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(FileError, match=r"file/demo\.kubeconfig cannot be written"):
        kubeconfig.write(tmp_path / "file" / "demo.kubeconfig", "text")


def test_merging_keeps_everything_that_is_there(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(MINE)
    before = read(path)

    current = kubeconfig.merge(kubeconfig.rename(admin_conf(), "demo"), path)

    after = read(path)
    for name in ("clusters", "contexts", "users"):
        assert after[name][0] == before[name][0]
        assert len(after[name]) == 2
    assert after["preferences"] == {"colors": True}
    assert after["current-context"] == "work"
    assert not current
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_merging_twice_is_merging_once(tmp_path: Path) -> None:
    path = tmp_path / "kube" / "config"
    text = kubeconfig.rename(admin_conf(), "demo")

    assert kubeconfig.merge(text, path)
    once = path.read_text()
    kubeconfig.merge(text, path)

    assert path.read_text() == once
    assert [entry.name for entry in path.parent.iterdir()] == ["config"]


def test_a_cluster_that_moved_is_known_by_its_authority(tmp_path: Path) -> None:
    path = tmp_path / "config"
    kubeconfig.merge(kubeconfig.rename(admin_conf(), "demo"), path)

    kubeconfig.merge(kubeconfig.rename(admin_conf("https://10.9.9.9:6443"), "demo"), path)

    assert [entry["cluster"]["server"] for entry in read(path)["clusters"]] == ["https://10.9.9.9:6443"]


@pytest.mark.parametrize(
    ("server", "address", "expected"),
    [
        ("https://127.0.0.1:7443", "10.0.0.12", "https://10.0.0.12:6443"),
        ("https://127.0.0.1:7443", "fd00::12", "https://[fd00::12]:6443"),
        ("https://10.0.0.10:6443", "10.0.0.12", "https://10.0.0.10:6443"),
    ],
)
def test_a_loopback_endpoint_of_nodes_becomes_the_control_planes_address(
    server: str, address: str, expected: str
) -> None:
    config = yaml.safe_load(kubeconfig.replace_loopback(admin_conf(server), address))

    assert config["clusters"][0]["cluster"]["server"] == expected


def test_another_cluster_of_the_same_name_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "config"
    kubeconfig.merge(kubeconfig.rename(admin_conf(), "demo"), path)
    before = path.read_text()

    other = admin_conf("https://10.9.9.9:6443", authority=base64.b64encode(b"other").decode())

    with pytest.raises(FileError, match=r"another cluster demo, at https://10\.0\.0\.11:6443") as caught:
        kubeconfig.merge(kubeconfig.rename(other, "demo"), path)

    assert "--context" in caught.value.fix
    assert path.read_text() == before


@pytest.mark.parametrize("text", ["a: [", "- a", "kind: Pod", "clusters: text", "users: [1]"])
def test_a_file_that_is_no_kubeconfig_stays_unchanged(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)

    with pytest.raises(FileError, match="not a kubeconfig"):
        kubeconfig.merge(kubeconfig.rename(admin_conf(), "demo"), path)

    assert path.read_text() == text
    assert [entry.name for entry in tmp_path.iterdir()] == ["config"]


def test_a_link_to_the_kubeconfig_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "config"
    real.write_text(MINE)
    link.symlink_to(real)

    kubeconfig.merge(kubeconfig.rename(admin_conf(), "demo"), link)

    assert link.is_symlink()
    assert len(read(real)["clusters"]) == 2


def test_kubectls_lock_is_respected_and_named(tmp_path: Path) -> None:
    (tmp_path / "config.lock").write_text("")

    with pytest.raises(BusyError, match=r"config\.lock is there"):
        kubeconfig.merge(kubeconfig.rename(admin_conf(), "demo"), tmp_path / "config")
