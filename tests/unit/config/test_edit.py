"""Hosts are added and removed in the file, and nothing else of it changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.config import Loaded, kubeadm_only, load
from provision.config.edit import (
    Edit,
    add_hosts,
    change_host,
    load_edited,
    refuse_inventory,
    remove_hosts,
    write_edited,
)
from provision.errors import FileError
from provision.model.cluster import Cluster, Host

HEAD = 'name: demo   # ours\nkubernetes: "1.36.3"\n'
FLOW = (
    HEAD
    + """\
hosts:
  # control planes
  - {name: cp1, address: 10.0.0.11,  role: control-plane}   # ü, in rack 1

  # workers
  - {name: w1,  address: 10.0.0.21,  role: worker, labels: {disk: ssd}}  # big
  # the small one
  - {name: w2,  address: 10.0.0.22,  role: worker}

# the end
ssh: {user: ubuntu}
"""
)
BLOCK = (
    HEAD
    + """\
hosts:
- name: cp1
  address: 10.0.0.11
  role: control-plane

-   # a comment behind the dash
  name: w1          # first
  address: 10.0.0.21
  role: worker
  labels:
    disk: ssd
  # below w1
- name: w2
  address: 10.0.0.22
  role: worker"""
)
ONE_LINE = (
    HEAD
    + "hosts: [{name: cp1, address: 10.0.0.11, role: control-plane}, "
    + "{name: w1, address: 10.0.0.21, role: worker}, {name: w2, address: 10.0.0.22, role: worker}]\n"
)
LINES = (
    HEAD
    + """\
hosts: [
  {name: cp1, address: 10.0.0.11, role: control-plane},  # c
  {name: w1, address: 10.0.0.21, role: worker},
  {name: w2, address: 10.0.0.22, role: worker},
]
"""
)
NEW = Host(
    name="w3",
    address="10.0.0.23",
    role="worker",
    user="admin",
    port=2222,
    host_key="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFd4Zp0qS7kYl9QmJ1kT1Lw3TnV9u9w1m9m9s9s9s9s9",
    labels={"disk": "ssd", "no": "yes"},
    taints=("only=db:NoSchedule",),
)
NEW_FLOW = (
    f"{{name: w3, address: 10.0.0.23, role: worker, port: 2222, user: admin, host_key: {NEW.host_key}, "
    'labels: {disk: ssd, "no": "yes"}, taints: ["only=db:NoSchedule"]}'
)
SHAPES = {"flow": FLOW, "block": BLOCK, "one-line": ONE_LINE, "lines": LINES}


def file_of(directory: Path, text: str) -> Loaded[Cluster]:
    path = directory / "cluster.yaml"
    path.write_bytes(text.encode())
    return kubeadm_only(load(path), "a test")


def written(loaded: Loaded[Cluster], edit: Edit) -> str:
    write_edited(loaded.path, edit)
    return loaded.path.read_bytes().decode()


def lines_lost_and_won(before: str, after: str) -> tuple[list[str], list[str]]:
    old, new = before.splitlines(), after.splitlines()
    return [line for line in old if line not in new], [line for line in new if line not in old]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_host_that_is_added_and_removed_again_leaves_the_file_as_it_was(tmp_path: Path, shape: str) -> None:
    loaded = file_of(tmp_path, SHAPES[shape])

    between = written(loaded, add_hosts([NEW]))
    after = written(loaded, remove_hosts(["w3"]))

    assert between != SHAPES[shape]
    assert after.rstrip("\n") == SHAPES[shape].rstrip("\n")


def test_a_new_host_is_one_line_behind_the_last_of_its_role_where_hosts_are_lines(tmp_path: Path) -> None:
    loaded = file_of(tmp_path, FLOW)
    master = Host(name="cp0", address="10.0.0.10", role="control-plane")
    text = FLOW.replace("ssh:", "endpoint: 10.0.0.5:6443\nssh:")
    loaded = file_of(tmp_path, text)

    after = written(loaded, add_hosts([NEW, master]))

    lost, won = lines_lost_and_won(text, after)
    assert lost == []
    assert won == ["  - {name: cp0, address: 10.0.0.10, role: control-plane}", f"  - {NEW_FLOW}"]
    assert after.splitlines()[5].startswith("  - {name: cp0")


def test_a_new_host_is_a_block_where_hosts_are_blocks(tmp_path: Path) -> None:
    loaded = file_of(tmp_path, BLOCK)

    after = written(loaded, add_hosts([NEW]))

    assert after.startswith(BLOCK + "\n- name: w3\n  address: 10.0.0.23\n  role: worker\n  port: 2222\n")


def test_several_hosts_of_a_flow_list_are_removed_at_once(tmp_path: Path) -> None:
    loaded = file_of(tmp_path, ONE_LINE)

    after = written(loaded, remove_hosts(["w1", "w2"]))

    assert after == HEAD + "hosts: [{name: cp1, address: 10.0.0.11, role: control-plane}]\n"


def test_the_first_hosts_of_a_flow_list_are_removed_with_their_commas(tmp_path: Path) -> None:
    text = ONE_LINE.replace("cp1", "x").replace("w2", "cp1").replace("{name: x", "{name: w2")
    text = text.replace("10.0.0.11, role: control-plane", "10.0.0.22, role: worker", 1)
    text = text.replace(
        "{name: cp1, address: 10.0.0.22, role: worker}",
        "{name: cp1, address: 10.0.0.11, role: control-plane}",
    )
    loaded = file_of(tmp_path, text)

    after = written(loaded, remove_hosts(["w2", "w1"]))

    assert after == HEAD + "hosts: [{name: cp1, address: 10.0.0.11, role: control-plane}]\n"


def test_removing_a_host_removes_its_lines_and_no_comment_of_others(tmp_path: Path) -> None:
    loaded = file_of(tmp_path, BLOCK)

    after = written(loaded, remove_hosts(["w1"]))

    lost, won = lines_lost_and_won(BLOCK, after)
    assert won == []
    assert lost == [
        "-   # a comment behind the dash",
        "  name: w1          # first",
        "  address: 10.0.0.21",
        "  labels:",
        "    disk: ssd",
    ]


@pytest.mark.parametrize("shape", SHAPES)
def test_another_address_and_key_change_nothing_else(tmp_path: Path, shape: str) -> None:
    loaded = file_of(tmp_path, SHAPES[shape])
    values = {"address": "10.0.0.99", "user": "root", "host_key": NEW.host_key}

    after = written(loaded, change_host("w1", values))
    back = written(loaded, change_host("w1", {"address": "10.0.0.21", "user": None, "host_key": None}))

    assert after.count("10.0.0.99") == 1
    assert back == SHAPES[shape]


def test_line_endings_byte_order_mark_mode_and_link_of_the_file_stay(tmp_path: Path) -> None:
    real = tmp_path / "real.yaml"
    real.write_bytes(b"\xef\xbb\xbf" + FLOW.replace("\n", "\r\n").encode())
    real.chmod(0o640)
    (tmp_path / "cluster.yaml").symlink_to(real)
    loaded = kubeadm_only(load(tmp_path / "cluster.yaml"), "a test")

    write_edited(loaded.path, add_hosts([NEW]))

    raw = real.read_bytes()
    assert raw.startswith(b"\xef\xbb\xbfname")
    assert raw.count(b"\n") == raw.count(b"\r\n")
    assert real.stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "cluster.yaml").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cluster.yaml", "real.yaml"]


def test_an_edit_that_breaks_the_file_is_refused_with_what_is_wrong_and_nothing_is_written(
    tmp_path: Path,
) -> None:
    loaded = file_of(tmp_path, FLOW)
    same = NEW.model_copy(update={"address": "10.0.0.22"})

    with pytest.raises(FileError) as refusal:
        write_edited(loaded.path, add_hosts([same]))

    assert "10.0.0.22 is also the address of w2" in refusal.value.findings[0].message
    assert loaded.path.read_text() == FLOW


def test_a_host_that_others_repeat_by_an_anchor_is_not_edited(tmp_path: Path) -> None:
    text = BLOCK.replace(
        "- name: w2\n  address: 10.0.0.22\n  role: worker", "- {<<: *w, name: w2, address: b}"
    )
    text = text.replace("-   # a comment behind the dash\n", "- &w\n")
    loaded = file_of(tmp_path, text)

    with pytest.raises(FileError):
        write_edited(loaded.path, remove_hosts(["w1"]))

    assert loaded.path.read_text() == text


def test_a_change_that_reaches_another_host_is_refused(tmp_path: Path) -> None:
    text = BLOCK.replace(
        "- name: w2\n  address: 10.0.0.22\n  role: worker", "- {<<: *w, name: w2, address: b}"
    ).replace("-   # a comment behind the dash\n", "- &w\n")
    loaded = file_of(tmp_path, text)

    with pytest.raises(FileError, match=r"cannot be edited safely \(w2\)"):
        load_edited(loaded.path, change_host("w1", {"user": "root"}))


def test_an_edit_changes_the_file_as_it_is_now(tmp_path: Path) -> None:
    loaded = file_of(tmp_path, FLOW)
    other = Host(name="w4", address="10.0.0.24", role="worker")
    write_edited(loaded.path, add_hosts([other]))

    after = write_edited(loaded.path, add_hosts([NEW]))

    assert [host.name for host in after.cluster.hosts] == ["cp1", "w1", "w2", "w4", "w3"]
    assert load_edited(loaded.path, remove_hosts(["w3", "w4"])).cluster == loaded.cluster


def test_hosts_of_an_inventory_are_not_edited(tmp_path: Path) -> None:
    loaded = file_of(tmp_path, FLOW)
    refuse_inventory(loaded, "node add")

    with pytest.raises(FileError, match=r"cluster\.yaml:3: the hosts come from an Ansible inventory"):
        refuse_inventory(Loaded(loaded.cluster, loaded.path, (), {"inventory": 3}), "node add")
