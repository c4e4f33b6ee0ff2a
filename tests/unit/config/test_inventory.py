"""Hosts from an Ansible inventory, read by Ansible's own program."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from provision.config import load, load_text
from provision.config.inventory import parse_inventory
from provision.model.cluster import Host
from provision.paths import content_root

from .factories import findings_of, kubeadm_file, only

FILE = 'name: demo\nkubernetes: "1.36.3"\ninventory: {}\n'
GROUPS = """\
control_plane:
  hosts:
    cp1: {ansible_host: 10.0.0.11}
workers:
  hosts:
    w1: {ansible_host: 10.0.0.21}
"""


def listed(**hostvars: Mapping[str, object]) -> dict[str, object]:
    """What `ansible-inventory --list` prints for cp1 and further hosts, all workers."""
    workers = [name for name in hostvars if name != "cp1"]
    return {
        "_meta": {"hostvars": {"cp1": {"ansible_host": "10.0.0.11"}, **hostvars}},
        "control_plane": {"hosts": ["cp1"]},
        "workers": {"hosts": workers},
    }


@pytest.mark.parametrize("name", ["example", "ha"])
def test_an_examples_inventory_gives_the_same_cluster_as_its_file(name: str) -> None:
    path = content_root() / "inventories" / name / "cluster.yaml"
    text, count = re.subn(r"\nhosts:\n(  .*\n)+", "\ninventory: hosts.yml\n", path.read_text())
    assert count == 1
    assert load_text(text, path).cluster == load(path).cluster


@pytest.mark.parametrize("name", ["example", "ha"])
def test_an_example_loads_without_a_finding(name: str) -> None:
    assert load(content_root() / "inventories" / name / "cluster.yaml").warnings == ()


def test_child_groups_group_variables_and_ini_numbers_are_understood(tmp_path: Path) -> None:
    (tmp_path / "hosts.ini").write_text(
        "[control_plane]\ncp1 ansible_host=10.0.0.11\n"
        "[workers:children]\nrack1\nrack2\n"
        "[rack1]\nw1 ansible_host=10.0.0.21\n"
        "[rack2]\nw2.example.com\n"
        "[all:vars]\nansible_port=2222\nansible_user=admin\n"
    )
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "rack1.yml").write_text("provision_labels: {rack: one}\nansible_user: root\n")
    loaded = kubeadm_file(FILE.format("hosts.ini"), tmp_path / "cluster.yaml")
    assert loaded.cluster.hosts == (
        Host(name="cp1", address="10.0.0.11", role="control-plane", port=2222, user="admin"),
        Host(name="w1", address="10.0.0.21", role="worker", port=2222, user="root", labels={"rack": "one"}),
        Host(name="w2.example.com", address="w2.example.com", role="worker", port=2222, user="admin"),
    )


def test_a_program_that_prints_an_inventory_is_one(tmp_path: Path) -> None:
    script = tmp_path / "cloud.sh"
    script.write_text(f"#!/bin/sh\necho '{json.dumps(listed())}'\n")
    script.chmod(0o755)
    loaded = kubeadm_file(FILE.format("cloud.sh"), tmp_path / "cluster.yaml")
    assert [host.address for host in loaded.cluster.hosts] == ["10.0.0.11"]


def test_a_wrong_value_is_named_by_inventory_host_and_variable(tmp_path: Path) -> None:
    path = tmp_path / "hosts.yml"
    path.write_text(
        GROUPS.replace("10.0.0.21", "10.0.0.300") + "    W_2: {ansible_host: '{{ x }}', ansible_port: a}\n"
    )
    found = findings_of(FILE.format("hosts.yml"), tmp_path)
    assert [(finding.where, finding.key, finding.check) for finding in found] == [
        (str(path), "W_2.ansible_port", "type"),
        (str(path), "W_2.ansible_host", "plain-text"),
        (str(path), "w1.ansible_host", "address"),
        (str(path), "W_2", "name"),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("all: [\n", "ansible-inventory cannot read"),
        ("masters: {hosts: {a: {}}}\n", "the group control_plane has no hosts (groups: all, masters)"),
        (GROUPS + "    cp1: {}\n", "cp1 is in both groups"),
    ],
)
def test_an_inventory_without_hosts_is_one_finding(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text(content)
    finding = only(findings_of(FILE.format("hosts.yml"), tmp_path))
    assert (finding.where, finding.key) == (f"{tmp_path}/cluster.yaml:3", "inventory")
    assert message in finding.message
    assert finding.fix


def test_a_missing_inventory_and_one_beside_hosts_are_refused(tmp_path: Path) -> None:
    assert "hosts.yml does not exist" in only(findings_of(FILE.format("hosts.yml"), tmp_path)).message
    text = FILE.format("x.yml") + "hosts:\n  - {name: cp1, address: 10.0.0.1, role: control-plane}\n"
    assert "one place is needed" in only(findings_of(text)).message


@pytest.mark.parametrize("value", ["[a]", "7", "'{{ x }}'", "-h", "'$(id)'"])
def test_an_unsafe_path_is_never_passed_to_ansible(value: str) -> None:
    assert {finding.key for finding in findings_of(FILE.format(value))} == {"inventory"}


def test_one_key_for_all_hosts_is_taken_over_and_several_are_refused() -> None:
    one = {"ansible_ssh_private_key_file": "~/.ssh/one"}
    assert parse_inventory(listed(cp1=one, w1=one), "x").key == "~/.ssh/one"
    found = parse_inventory(listed(cp1=one, w1={}), "x").problems
    assert [problem.check for problem in found] == ["inventory"]
    assert "different values of ansible_ssh_private_key_file" in found[0].message


def test_hosts_that_are_not_reached_by_ssh_are_each_refused() -> None:
    found = parse_inventory(
        listed(w1={"ansible_connection": "local"}, w2={"ansible_connection": "winrm"}), "x"
    ).problems
    assert [problem.message.split(";")[0] for problem in found] == [
        "x: w1 has ansible_connection local",
        "x: w2 has ansible_connection winrm",
    ]


def test_text_that_ansible_marks_as_unsafe_is_text() -> None:
    hosts = parse_inventory(listed(w1={"provision_labels": {"a": {"__ansible_unsafe": "b"}}}), "x").hosts
    assert hosts[1]["labels"] == {"a": "b"}


@pytest.mark.parametrize(
    ("variable", "value", "fix"),
    [
        ("ansible_ssh_common_args", "-o ProxyCommand='ssh -W %h:%p root@10.0.0.1'", "ssh.bastion"),
        ("ansible_ssh_extra_args", "-J jump", "ssh.bastion"),
        ("ansible_password", "x", "ssh.key"),
        ("ansible_become_password", {"__ansible_unsafe": "x"}, "sudo"),
        ("ansible_become_method", "su", "sudo"),
        ("ansible_python_interpreter", "/opt/python", "/usr/bin/python3"),
    ],
)
def test_a_variable_that_is_not_understood_is_named_with_the_way_out(
    variable: str, value: object, fix: str
) -> None:
    read = parse_inventory(listed(cp1={variable: value}, w1={variable: value}), "hosts.ini")
    (problem,) = read.problems
    assert problem.message == f"hosts.ini: {variable} of cp1 and 1 other hosts is not understood"
    assert fix in problem.fix


def test_variables_that_say_what_is_done_anyway_are_no_problem() -> None:
    usual = {"ansible_python_interpreter": "auto", "ansible_become_method": "sudo", "ansible_password": ""}
    assert parse_inventory(listed(cp1=usual), "hosts.ini").problems == ()


def test_no_module_of_the_working_directory_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hosts.yml").write_text(GROUPS)
    (tmp_path / "yaml.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.chdir(tmp_path)
    loaded = kubeadm_file(FILE.format("hosts.yml"), tmp_path / "cluster.yaml")
    assert [host.name for host in loaded.cluster.hosts] == ["cp1", "w1"]
