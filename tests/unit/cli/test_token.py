"""`provision token` over a real sshd, down to a stand-in for the API server; file and look are replaced."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from provision import config
from provision.cli import run
from provision.config import Loaded
from provision.model.cluster import Cluster, Host, Ssh
from provision.providers.kubeadm import host_programs
from provision.providers.kubeadm.facts import gather
from provision.providers.kubeadm.facts.gather import SelectedObservation
from tests.unit.modules.api_server import ApiServer
from tests.unit.providers.kubeadm import factories
from tests.unit.ssh import sshd

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the agent runs as root")
SECRETS = "/api/v1/namespaces/kube-system/secrets"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    """The API server of a cluster whose control plane is reached by a sshd of this machine."""
    monkeypatch.chdir(tmp_path)
    api = ApiServer(tmp_path)
    etc = tmp_path / "etc/kubernetes/manifests"
    etc.mkdir(parents=True)
    (etc.parent / "admin.conf").write_text(api.admin_conf())
    (etc / "kube-apiserver.yaml").write_text(f"- --advertise-address=127.0.0.1\n- --secure-port={api.port}\n")
    # The agent's files lie below a directory of the test, and not in this machine's /etc.
    monkeypatch.setattr(host_programs, "_LOADER", host_programs._LOADER + BELOW.format(root=tmp_path))
    host_programs._packed.cache_clear()
    (tmp_path / "sshd").mkdir()
    with sshd.running(tmp_path / "sshd") as ssh:
        host = Host(
            name="cp1", address=sshd.ADDRESS, role="control-plane", port=ssh.port, host_key=ssh.host_key
        )
        wanted = Cluster(
            name="demo", kubernetes="1.36.3", hosts=(host,), ssh=Ssh(user=ssh.user, key=str(ssh.key))
        )
        loaded = Loaded(cluster=wanted, path=Path("cluster.yaml"), warnings=())
        monkeypatch.setattr(config, "load", lambda _file: loaded)  # a file may not name a loopback address
        cluster = factories.cluster("cp")
        seen = SelectedObservation(
            observation=factories.observation(factories.running(cluster)), unreachable={}, passed_over=()
        )
        monkeypatch.setattr(gather, "observe_selected", lambda *_, **__: seen)
        yield api
    api.close()
    host_programs._packed.cache_clear()
    shutil.rmtree(etc)


BELOW = """
import functools
from ansible.module_utils import provision_agent
provision_agent.main = functools.partial(provision_agent.main, root='{root}')
"""


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(["token", *arguments]) == 0, capsys.readouterr().err
    return capsys.readouterr().out


def test_a_token_is_made_listed_without_its_secret_and_deleted(
    server: ApiServer, capsys: pytest.CaptureFixture[str]
) -> None:
    made = said(capsys, "create", "--ttl", "1h").strip()
    identifier, _, secret = made.partition(".")
    assert f"{SECRETS}/bootstrap-token-{identifier}" in server.objects

    listed = said(capsys, "list")
    assert (identifier in listed, secret in listed) == (True, False)
    assert "in 59 min" in listed
    assert "authentication,signing" in listed
    assert made in said(capsys, "list", "--show-secrets")

    assert said(capsys, "delete", identifier) == f"{identifier}: deleted\n"
    assert said(capsys, "delete", identifier) == f"{identifier}: was not there\n"
    assert said(capsys, "list") == "there is no token\n"


@pytest.mark.usefixtures("server")
def test_the_join_command_is_whole_and_pins_the_authority(capsys: pytest.CaptureFixture[str]) -> None:
    command = said(capsys, "create", "--print-join-command")

    assert command.startswith("kubeadm join ")
    assert " --discovery-token-ca-cert-hash sha256:" in command


@pytest.mark.usefixtures("server")
def test_by_hand_nobody_joins_a_cluster_whose_nodes_have_load_balancers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = config.kubeadm_only(config.load(Path("cluster.yaml")), "token").cluster
    local = wanted.model_copy(update={"endpoint": "local"})
    loaded = Loaded(cluster=local, path=Path("cluster.yaml"), warnings=())
    monkeypatch.setattr(config, "load", lambda _file: loaded)

    assert run(["token", "create", "--print-join-command"]) == 3
    assert "fix: `provision node add`" in capsys.readouterr().err
    assert json.loads(said(capsys, "create", "-o", "json"))["join_command"] is None


@pytest.mark.usefixtures("server")
def test_json_has_the_secret_only_where_it_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    made = json.loads(said(capsys, "create", "-o", "json"))

    (listed,) = json.loads(said(capsys, "list", "-o", "json"))["tokens"]

    assert made["token"] in made["join_command"]
    assert "token" not in listed
    assert 0 < listed["seconds"] <= 900


@pytest.mark.usefixtures("server")
def test_wrong_arguments_are_told_without_repeating_a_secret(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["token", "delete", "abcdef.0123456789abcdef"]) == 3
    assert "0123456789abcdef" not in capsys.readouterr().err
    assert run(["token", "create", "--ttl", "soon"]) == 3
    assert "--ttl soon: a length of time" in capsys.readouterr().err
