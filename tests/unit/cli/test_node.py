"""`provision node` from outside, as far as no host is needed: arguments, refusals, the list."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.cli import run
from provision.config.edit import host_arguments
from provision.errors import FileError
from provision.model.cluster import Cluster, Host
from provision.providers.kubeadm.operations.status import list_nodes
from provision.report.tables import age, node_list_text
from tests.unit.providers.kubeadm import factories

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGBpyyMbcmMQMuDyv4nRJM3sYAnPQYo6pxYBYWGKDyZm"
FILE = """\
name: demo
kubernetes: "1.36.3"
ssh: {user: ubuntu}
hosts:
  - {name: cp1, address: 192.0.2.11, role: control-plane}
  - {name: w1, address: 192.0.2.21, role: worker, labels: {disk: ssd}}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROVISION_STATE", str(tmp_path / "state"))
    path = tmp_path / "cluster.yaml"
    path.write_text(FILE)
    return path


def cluster() -> Cluster:
    return factories.cluster("cp", "w", ssh={"user": "ubuntu"})


def hosts_of(*words: str, **more: object) -> list[Host]:
    options: dict[str, object] = {"role": None, "labels": (), "taints": (), **more}
    return host_arguments.resolve_hosts(cluster(), host_arguments.parse_hosts(words), **options)  # type: ignore[arg-type]


def test_pairs_of_words_become_hosts_that_share_what_options_say() -> None:
    found = hosts_of("w2", "ubuntu@10.0.0.5", "w3", "admin@[2001:db8::1]:2222", labels=["disk=ssd", "x="])

    assert found == [
        Host(name="w2", address="10.0.0.5", role="worker", labels={"disk": "ssd", "x": ""}),
        Host(
            name="w3",
            address="2001:db8::1",
            role="worker",
            port=2222,
            user="admin",
            labels={"disk": "ssd", "x": ""},
        ),
    ]


def test_a_host_that_is_in_the_file_is_gone_on_with_as_it_stands_there() -> None:
    assert hosts_of("w1", "ubuntu@10.0.0.21") == [cluster().host("w1")]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("w2",), "w2 has no address"),
        (("w2", "a b"), "is not [user@]address[:port]"),
        (("w2", "10.0.0.5", "w2", "10.0.0.6"), "w2 is named twice"),
        (("w1", "10.0.0.99"), "w1 is in the file at 10.0.0.21, not at 10.0.0.99"),
        (("w9", "10.0.0.21"), "10.0.0.21 is the address of w1"),
    ],
)
def test_words_that_make_no_host_are_refused(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(FileError) as refusal:
        hosts_of(*words)

    assert said in refusal.value.message
    assert refusal.value.fix


def test_another_address_of_a_known_name_is_sent_to_node_replace_with_the_words_to_type() -> None:
    with pytest.raises(FileError) as refusal:
        hosts_of("w1", "root@10.0.0.99:2222")

    assert refusal.value.fix.endswith("provision node replace w1 root@10.0.0.99:2222")


def test_everything_that_is_wrong_with_the_words_is_told_at_once() -> None:
    with pytest.raises(FileError) as refusal:
        hosts_of("W_2", "10.0.0.300", labels=["a b=c"], taints=["x"])

    assert {finding.key.partition(".")[0] for finding in refusal.value.findings} >= {
        "name",
        "address",
        "labels",
        "taints",
    }


def test_a_key_belongs_to_the_one_host_or_names_its_host() -> None:
    assert host_arguments.parse_host_keys([f"{KEY} comment"], ["w2"]) == {"w2": KEY}
    assert host_arguments.parse_host_keys([f"w3={KEY}", "w2=SHA256:abc="], ["w2", "w3"]) == {
        "w3": KEY,
        "w2": "SHA256:abc=",
    }
    with pytest.raises(FileError, match="does not say for which of w2, w3"):
        host_arguments.parse_host_keys([KEY], ["w2", "w3"])


@pytest.mark.parametrize(
    ("arguments", "fact"),
    [
        (("add", "w2"), "w2 has no address"),
        (("add", "w1", "192.0.2.99"), "provision node replace w1 192.0.2.99"),
        (("add", "w1", "192.0.2.21", "--role", "control-plane"), "as a worker, not as a control-plane"),
        (("replace", "w9"), "has no host w9"),
        (("remove",), "missing argument"),
    ],
)
def test_wrong_words_are_told_and_the_file_stays(
    file: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], fact: str
) -> None:
    code = run(("node", *arguments))

    assert code == 3
    assert fact in capsys.readouterr().err
    assert file.read_text() == FILE


def test_hosts_of_an_inventory_are_not_edited(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inventory = "all: {children: {control_plane: {hosts: {cp1: {ansible_host: 192.0.2.11}}}}}\n"
    (file.parent / "hosts.yml").write_text(inventory)
    file.write_text('name: demo\nkubernetes: "1.36.3"\ninventory: hosts.yml\n')

    assert run(("node", "add", "w2", "192.0.2.22")) == 3
    assert "cluster.yaml:3: the hosts come from an Ansible inventory" in capsys.readouterr().err


def test_the_list_has_hosts_and_nodes_and_says_what_is_wrong() -> None:
    wanted = factories.cluster("cp", "w", "w")
    documents = factories.running(wanted)
    stranger = factories.node(Host(name="x1", address="10.0.0.77", role="worker"))
    nodes = documents["cp1"]["api"]["nodes"]
    nodes[0]["created"] = "2027-01-15T07:00:00Z"
    nodes[1].update(ready=False, message="kubelet stopped posting node status", cordoned=True)
    nodes[2:] = [stranger]

    text = node_list_text(list_nodes(wanted, factories.observation({"cp1": documents["cp1"]})))

    assert text.splitlines()[0].split() == ["NAME", "ROLE", "ADDRESS", "STATE", "VERSION", "AGE", "RUNTIME"]
    assert text.splitlines()[1].split() == [
        "cp1",
        "control-plane",
        "10.0.0.11",
        "ready",
        "1.36.3",
        "1h",
        "containerd://2.3.7",
    ]
    assert "not ready, cordoned" in text
    assert "kubelet stopped posting" in text
    assert "is in the file, but no node" in text
    assert text.splitlines()[4].endswith("is not in the file")
    assert {entry.state for entry in list_nodes(wanted, None)} == {"unknown"}


def test_ages_are_short() -> None:
    assert [age(None), age(59), age(61), age(7300), age(200_000)] == ["-", "59s", "1m", "2h", "2d"]
