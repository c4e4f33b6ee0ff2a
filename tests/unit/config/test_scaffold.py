"""A new file from the arguments of a command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.config import kubeadm_only, load, load_text
from provision.config.scaffold import write_new
from provision.config.scaffold.kubeadm import cluster_from_arguments, cluster_text
from provision.config.yaml.syntax import scalar
from provision.errors import FileError
from provision.model.cluster import Cluster, Firewall, Host, Kubeadm, Mirror, Network, Ssh
from provision.paths import content_root
from provision.versions import versions

from .factories import assert_golden

FULL = Cluster(
    name="full",
    kubernetes="1.35.4",
    runtime_version="2.3.7",
    network=Network(
        version="3.31.0",
        pod_cidr="172.20.0.0/16",
        service_cidr="172.30.0.0/16",
        encapsulation="ipip",
        dataplane="nftables",
    ),
    endpoint="api.example.com:6443",
    ssh=Ssh(user="ubuntu", bastion="root@bastion.example.com:2222"),
    hosts=(
        Host(name="cp1", address="fd00::11", role="control-plane", port=2222, user="root"),
        Host(
            name="no",
            address="10.0.0.21",
            role="worker",
            labels={"country": "no", "example.com/a": "", "1": "1.20"},
            taints=("dedicated=db:NoSchedule", "x:NoExecute"),
        ),
    ),
    kubeadm=Kubeadm(ignore_preflight_errors=("NumCPU", "Mem")),
    firewall=Firewall(api_from=("10.20.0.0/16", "10.20.9.7"), node_ports_from=("0.0.0.0/0",), managed=False),
    mirror=Mirror(packages="http://10.9.0.1:8080", packages_key="A" * 40, images="http://10.9.0.1:5000"),
)


def test_init_writes_a_commented_file_that_loads_without_a_finding() -> None:
    cluster = cluster_from_arguments(
        name="demo",
        control_planes=["ubuntu@10.0.0.11"],
        workers=["ubuntu@10.0.0.21", "ubuntu@10.0.0.22:2222=db1", "ubuntu@[fd00::23]:22", "ubuntu@fd00::24"],
    )
    text = cluster_text(cluster)
    assert_golden(text, "init.yaml")
    loaded = load_text(text, Path("cluster.yaml"))
    assert loaded.cluster == cluster
    assert loaded.warnings == ()


def test_every_comment_that_shows_a_key_is_right_when_it_is_uncommented() -> None:
    text = cluster_text(cluster_from_arguments(name="demo", control_planes=["10.0.0.11"]))
    top = ("runtime_version:", "endpoint:", "ssh:", "kubeadm:", "firewall:", "mirror:")
    keys = (
        *top,
        "  version:",
        "  user:",
        "  bastion:",
        "  ignore_",
        "  api_from:",
        "  packages:",
        "  images:",
        "  manifests:",
    )
    live = [
        shown if (shown := line.replace("# ", "", 1)).startswith(keys) else line for line in text.splitlines()
    ]
    loaded = load_text("\n".join(live), Path("cluster.yaml"))
    assert loaded.cluster.endpoint == "10.0.0.10:6443"
    assert loaded.cluster.firewall.api_from == ("10.20.0.0/16",)
    assert loaded.cluster.ssh.bastion == "ubuntu@bastion.example.com:22"
    assert loaded.cluster.mirror.images == "https://registry.example.com:5000"
    assert loaded.cluster.runtime_version == versions().containerd.version
    assert loaded.cluster.network.version == versions().calico.version


def test_the_text_of_a_cluster_is_that_cluster_with_every_key_set() -> None:
    text = cluster_text(FULL)
    assert_golden(text, "full.yaml")
    assert load_text(text, Path("cluster.yaml")).cluster == FULL


@pytest.mark.parametrize(
    "text", ["no", "1.30", "", "a: b", "a #b", "null", "- a", "*x", "0x1F", "ä", 'a"b', "12:30:00"]
)
def test_a_text_that_yaml_would_not_read_as_text_is_quoted(text: str) -> None:
    assert scalar(text).startswith('"')


def test_different_users_stay_with_their_hosts_and_taken_names_are_skipped() -> None:
    cluster = cluster_from_arguments(
        name="demo", control_planes=["root@10.0.0.11=w1"], workers=["ubuntu@10.0.0.21", "10.0.0.22"]
    )
    assert cluster.ssh.user is None
    assert [(host.name, host.user) for host in cluster.hosts] == [
        ("w1", "root"),
        ("w2", "ubuntu"),
        ("w3", None),
    ]


def test_every_wrong_argument_is_named_at_once() -> None:
    with pytest.raises(FileError) as failure:
        cluster_from_arguments(
            name="De_mo",
            control_planes=["ubuntu@10.0.0.300", "ubuntu@10.0.0.12=X"],
            workers=["ubuntu@10.0.0.12"],
            kubernetes="v1.36.3",
        )
    assert [finding.where for finding in failure.value.findings] == [
        "--name",
        "--kubernetes",
        "--control-plane ubuntu@10.0.0.300",
        "--control-plane ubuntu@10.0.0.12=X",
        "--worker ubuntu@10.0.0.12",
        "--endpoint",
    ]


@pytest.mark.parametrize("word", ["a@b@c", "", "@host", "host=", "u@h=n=m"])
def test_a_malformed_host_argument_is_refused_with_the_syntax(word: str) -> None:
    with pytest.raises(FileError) as failure:
        cluster_from_arguments(name="demo", control_planes=[word])
    assert "is not [user@]host[:port][=name]" in failure.value.findings[0].message


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("vip:10.0.0.10", "endpoint: {vip: 10.0.0.10}"),
        ("vip:6443", "endpoint: vip:6443"),  # a host of that name
        ("local", "endpoint: local"),
        ("10.0.0.10:6443", "endpoint: 10.0.0.10:6443"),
    ],
)
def test_every_kind_of_endpoint_is_written_and_read_again(word: str, line: str) -> None:
    cluster = cluster_from_arguments(
        name="demo", control_planes=["10.0.0.11", "10.0.0.12", "10.0.0.13"], endpoint=word
    )

    text = cluster_text(cluster)

    assert line in text.splitlines()
    assert load_text(text, Path("cluster.yaml")).cluster == cluster


def test_an_invalid_virtual_address_is_a_finding_of_the_argument() -> None:
    with pytest.raises(FileError) as failure:
        cluster_from_arguments(name="demo", control_planes=["10.0.0.11"], endpoint="vip:10.0.0.11")
    (finding,) = failure.value.findings
    assert finding.where == "--endpoint"
    assert "is the address of cp1" in finding.message


def test_a_file_that_was_written_is_the_cluster_again(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    write_new(path, cluster_text(FULL))
    assert load(path).cluster == FULL


def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    write_new(path, "first")
    with pytest.raises(FileError, match="exists already"):
        write_new(path, "second")
    assert path.read_text() == "first"
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileError, match="exists already"):
        write_new(tmp_path / "link", "x")
    with pytest.raises(FileError, match="cannot be written"):
        write_new(tmp_path / "no" / "cluster.yaml", "x")


@pytest.mark.parametrize("name", ["example", "ha"])
def test_the_examples_are_what_init_writes(name: str) -> None:
    path = content_root() / "inventories" / name / "cluster.yaml"
    assert path.read_text() == cluster_text(kubeadm_only(load(path), "a test").cluster)
