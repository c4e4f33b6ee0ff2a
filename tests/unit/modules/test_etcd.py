"""Members of etcd: seen, saved, taken out."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import library
from .etcd_server import EtcdServer, member

host = library("provision_host")
lock = library("provision_lock")
etcd = library("provision_etcd")
etcd_member = library("etcd_member")
kubeadm_join = library("kubeadm_join")

CP3 = {"name": "cp3", "address": "127.0.0.3"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EtcdServer]:
    server = EtcdServer(tmp_path)
    yield server
    server.close()


@pytest.fixture
def client(server: EtcdServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(etcd_member, "SNAPSHOTS", tmp_path / "saved")
    monkeypatch.setattr(
        etcd_member, "exclusive", lambda verb, wait: lock.exclusive(verb, wait=wait, directory=tmp_path)
    )
    monkeypatch.setattr(etcd, "_PAUSE", 0.01)
    monkeypatch.setattr(etcd_member, "_RETRY", 0.5)
    return etcd.Etcd("127.0.0.1", port=server.port, root=tmp_path)


def take_out(client: Any, *gone: dict[str, str], dry: bool = False, **options: Any) -> Any:
    changes = host.Changes(dry=dry)
    wanted = {"gone": list(gone), "joins": False, "keep": 5, "timeout": 0.5, **options}
    result = etcd_member.take_out(wanted, changes, etcd=client)
    return result, changes.sentences


def saved(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "saved").glob("*")) if (tmp_path / "saved").exists() else []


def test_a_member_leaves_after_a_snapshot_that_only_root_can_read(
    client: Any, server: EtcdServer, tmp_path: Path
) -> None:
    result, sentences = take_out(client, CP3)

    (path,) = saved(tmp_path)
    assert server.names() == ["cp1", "cp2"]
    assert path.read_bytes() == server.database
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert result == {"snapshot": str(path)}
    assert sentences == [f"saved etcd in {path}", "removed the etcd member cp3"]
    paths = [asked for _, asked, _ in server.calls]
    assert paths.index("/v3/maintenance/snapshot") < paths.index("/v3/cluster/member/remove")


def test_a_member_that_is_gone_already_is_no_change(client: Any, server: EtcdServer, tmp_path: Path) -> None:
    server.members = server.members[:2]

    result, sentences = take_out(client, CP3)

    assert (result, sentences, saved(tmp_path)) == ({"snapshot": ""}, [], [])


def test_before_a_join_etcd_is_saved_though_nobody_leaves(
    client: Any, server: EtcdServer, tmp_path: Path
) -> None:
    server.members = server.members[:2]

    _, sentences = take_out(client, CP3, joins=True)

    assert len(sentences) == len(saved(tmp_path)) == 1
    assert server.names() == ["cp1", "cp2"]


def test_a_dry_run_only_says_what_would_leave(client: Any, server: EtcdServer, tmp_path: Path) -> None:
    _, sentences = take_out(client, CP3, dry=True)

    assert sentences == ["removed the etcd member cp3"]
    assert server.names() == ["cp1", "cp2", "cp3"]
    assert saved(tmp_path) == []


def test_a_learner_that_never_started_is_found_by_its_address(client: Any, server: EtcdServer) -> None:
    server.members[2] = member("", "127.0.0.3", 3)

    take_out(client, CP3)

    assert server.names() == ["cp1", "cp2"]


def test_another_hosts_announced_member_stays_and_does_not_stand_in_the_way(
    client: Any, server: EtcdServer
) -> None:
    server.members[2] = member("", "127.0.0.3", 3)

    take_out(client, {"name": "cp2", "address": "127.0.0.2"})

    assert server.names() == ["cp1", ""]


def test_nobody_joins_beside_a_member_that_never_started(client: Any, server: EtcdServer) -> None:
    server.members[2] = member("", "127.0.0.3", 3)

    with pytest.raises(
        host.HostError, match=r"etcd is not healthy after 0 s: 127.0.0.3 \(never started\) has not"
    ):
        take_out(client, {"name": "cp4", "address": "127.0.0.4"}, joins=True, timeout=0.1)


def test_an_ill_member_may_leave(client: Any, server: EtcdServer) -> None:
    server.ill = {"127.0.0.3"}

    take_out(client, CP3)

    assert server.names() == ["cp1", "cp2"]


def test_a_lost_member_leaves_before_one_that_is_well(client: Any, server: EtcdServer) -> None:
    server.ill = {"127.0.0.3"}

    take_out(client, {"name": "cp2", "address": "127.0.0.2"}, CP3)

    assert [body["ID"] for _, body in server.asked("/v3/cluster/member/remove")] == ["3", "2"]
    assert server.names() == ["cp1"]


def test_nobody_leaves_if_the_rest_were_no_healthy_majority(
    client: Any, server: EtcdServer, tmp_path: Path
) -> None:
    server.ill = {"127.0.0.2"}

    with pytest.raises(
        host.HostError, match="without cp3 etcd would lose its quorum: of 2 members that stay 1 are"
    ) as error:
        take_out(client, CP3)

    assert error.value.lines == ["cp2 is not healthy"]
    assert server.names() == ["cp1", "cp2", "cp3"]
    assert saved(tmp_path) == []


def test_without_a_quorum_nothing_is_tried(client: Any, server: EtcdServer, tmp_path: Path) -> None:
    server.quorum = False

    with pytest.raises(host.HostError, match="etcd has lost its quorum: 2 of 3 members have to be well"):
        take_out(client, CP3)

    assert server.asked("/v3/cluster/member/remove") == []
    assert saved(tmp_path) == []


def test_the_member_of_the_host_itself_stays(client: Any, server: EtcdServer) -> None:
    with pytest.raises(host.HostError, match="has to be done through another one"):
        take_out(client, {"name": "cp1", "address": "127.0.0.1"})

    assert server.names() == ["cp1", "cp2", "cp3"]


def test_a_leader_hands_over_before_it_leaves(client: Any, server: EtcdServer) -> None:
    server.leader = "3"
    for one in server.members:  # the stand-in's port is not etcd's
        one["clientURLs"] = [one["peerURLs"][0].replace("2380", str(server.port))]

    take_out(client, CP3)

    assert server.asked("/v3/maintenance/transfer-leadership") == [("127.0.0.3", {"targetID": "1"})]


def test_a_refusal_for_the_moment_is_waited_for(
    client: Any, server: EtcdServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(etcd_member, "_RETRY", 30)  # two refusals take half a second on a busy machine
    server.refusals = 2

    take_out(client, CP3)

    assert server.names() == ["cp1", "cp2"]


def test_the_oldest_snapshots_go(client: Any, tmp_path: Path) -> None:
    (tmp_path / "saved").mkdir()
    for year in (2021, 2022, 2023):
        (tmp_path / f"saved/snapshot-{year}0101T000000Z.db").write_text("old")

    take_out(client, CP3, keep=2)

    assert saved(tmp_path)[0].name[:13] == "snapshot-2023"
    assert len(saved(tmp_path)) == 2


def test_a_snapshot_that_breaks_off_is_no_snapshot(
    client: Any, server: EtcdServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_self: Any) -> Iterator[bytes]:
        yield b"half"
        raise host.HostError("etcd broke off its snapshot before its end")

    monkeypatch.setattr(etcd.Etcd, "snapshot", broken)

    with pytest.raises(host.HostError, match="broke off"):
        take_out(client, CP3)

    assert saved(tmp_path) == []
    assert server.names() == ["cp1", "cp2", "cp3"]


def test_a_join_waits_until_its_member_votes_and_is_well(client: Any, server: EtcdServer) -> None:
    server.members[2]["isLearner"] = True

    with pytest.raises(host.HostError, match="cp3 is still a learner"):
        etcd.wait_until_healthy(client, 0.1, names=["cp3"])

    del server.members[2]["isLearner"]
    etcd.wait_until_healthy(client, 0.1, names=["cp3"])


def test_a_join_waits_for_a_member_of_its_name(client: Any) -> None:
    with pytest.raises(host.HostError, match="cp4 is no member"):
        etcd.wait_until_healthy(client, 0.1, names=["cp4"])


def test_a_silent_etcd_is_named_with_its_place(server: EtcdServer, client: Any) -> None:
    server.close()

    with pytest.raises(host.HostError, match=r"etcd does not answer at https://127\.0\.0\.1:"):
        client.members()


def test_a_join_that_is_undone_takes_its_member_back(
    server: EtcdServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        kubeadm_join, "Etcd", lambda _host, root: etcd.Etcd("127.0.0.1", port=server.port, root=root)
    )
    server.members[2] = member("", "127.0.0.3", 3)
    manifests = tmp_path / "etc/kubernetes/manifests"
    manifests.mkdir()
    (manifests / "etcd.yaml").write_text("    - --initial-advertise-peer-urls=https://127.0.0.3:2380\n")

    kubeadm_join.leave_etcd("10.0.0.11", "cp3", root=tmp_path)

    assert server.names() == ["cp1", "cp2"]


def test_a_host_without_certificates_has_no_member_to_take_back(tmp_path: Path) -> None:
    kubeadm_join.leave_etcd("127.0.0.1", "cp3", root=tmp_path / "empty")
