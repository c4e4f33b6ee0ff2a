from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from .conftest import Programs, library

host = library("provision_host")
lock = library("provision_lock")
kubeadm = library("provision_kubeadm")
kubeadm_init = library("kubeadm_init")
kubeadm_join = library("kubeadm_join")

TOKEN = "abcdef.0123456789abcdef"  # noqa: S105  # the shape, not a secret
KEY = "0123456789abcdef" * 4


@pytest.fixture(autouse=True)
def _directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubeadm, "RUN_DIRECTORY", tmp_path / "run")
    monkeypatch.setattr(kubeadm, "STATE_DIRECTORY", tmp_path / "state")


def test_the_configuration_is_private_and_gone_afterwards(tmp_path: Path) -> None:
    seen: dict[str, Any] = {}

    def run(argv: list[str], **_options: Any) -> Any:
        path = Path(argv[-1].partition("=")[2])
        seen.update(mode=path.stat().st_mode & 0o777, text=path.read_text(encoding="utf-8"), argv=argv)
        return host.Completed(tuple(argv), 0, "", "")

    kubeadm.kubeadm(["join"], [{"token": TOKEN}, "kind: X\n"], lock=0, run=run)

    assert seen["mode"] == 0o600
    assert seen["text"] == json.dumps({"token": TOKEN}) + "\n---\nkind: X\n"
    assert TOKEN not in " ".join(seen["argv"])
    assert list((tmp_path / "run").iterdir()) == []


def test_the_configuration_is_gone_after_a_failure_too(tmp_path: Path, programs: Programs) -> None:
    programs.answer("kubeadm", status=1, err="error: something")

    with pytest.raises(host.HostError, match="kubeadm join failed: error: something"):
        kubeadm.kubeadm(["join"], [{}], lock=0, run=programs)

    assert list((tmp_path / "run").iterdir()) == []


def test_preflight_errors_are_told_first_and_all_of_them(programs: Programs) -> None:
    said = "error execution phase preflight:\n\t[ERROR Port-6443]: Port 6443 is in use\n\t[ERROR Swap]: swap is on\n"
    done = host.Completed(("kubeadm", "init"), 1, "", said)

    error = kubeadm.explain(done, programs)

    assert error.message == "kubeadm preflight: Port-6443 Port 6443 is in use; Swap swap is on"


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("error: could not find a JWS signature in the cluster-info ConfigMap", "token is not valid"),
        ("error: none of the public keys sha256:x are pinned", "belongs to another cluster"),
        ("error: the kubelet is not healthy after 4m0s", "the kubelet does not start"),
    ],
)
def test_a_failure_says_its_likely_cause(programs: Programs, said: str, cause: str) -> None:
    assert cause in kubeadm.explain(host.Completed(("kubeadm", "join"), 1, "", said), programs).message


def test_no_secret_is_in_what_a_failure_says(programs: Programs) -> None:
    said = f"kubeadm join 10.0.0.1:6443 --token {TOKEN} --certificate-key {KEY}\nerror: token {TOKEN} is bad"
    programs.answer("journalctl", out=f"bootstrap with {TOKEN}")

    error = kubeadm.explain(host.Completed(("kubeadm", "join"), 1, said, said), programs)

    everything = json.dumps([error.message, error.command, error.lines])
    assert TOKEN not in everything
    assert KEY not in everything
    assert "[redacted]" in everything


def test_a_ca_hash_is_no_secret() -> None:
    assert host.redact(f"sha256:{KEY}") == f"sha256:{KEY}"


def test_complaints_come_from_the_newest_log_of_each_container(tmp_path: Path) -> None:
    logs = tmp_path / "kube-system_etcd-cp1_1/etcd"
    logs.mkdir(parents=True)
    (logs / "0.log").write_text(
        '2026-11-21T11:00:00Z stderr F {"level":"info","msg":"fine"}\n'
        '2026-11-21T11:00:01Z stderr F {"level":"fatal","msg":"no space left on device"}\n',
        encoding="utf-8",
    )

    assert kubeadm._complaints(tmp_path) == ['etcd: {"level":"fatal","msg":"no space left on device"}']


@pytest.mark.parametrize(
    "name", ["etc/kubernetes/admin.conf", "etc/kubernetes/manifests/etcd.yaml", "var/lib/etcd/member"]
)
def test_data_of_an_earlier_cluster_is_refused_before_the_marker_is_set(root: Path, name: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).touch()

    with pytest.raises(host.HostError, match=f"{root}/{name} is left from an earlier cluster"):
        kubeadm.begin("init", root=root)

    assert not kubeadm.marker("init").exists()


def test_what_kubeadm_wrote_is_on_the_disk_before_its_work_counts_as_done(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    monkeypatch.setattr(kubeadm.os, "sync", lambda: synced.append(kubeadm.marker("join").exists()))
    kubeadm.begin("join", root=root)

    kubeadm.end("join")
    kubeadm.end("join")

    assert synced == [True]
    assert not kubeadm.marker("join").exists()


@pytest.mark.parametrize("lost", ["kubelet.conf", "ca.crt"])
def test_a_join_whose_files_lost_their_content_with_the_power_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    for name, place in (("kubelet.conf", "_KUBELET_CONFIG"), ("ca.crt", "_AUTHORITY")):
        (tmp_path / name).write_text("" if name == lost else "content")
        monkeypatch.setattr(kubeadm_join, place, tmp_path / name)
    monkeypatch.setattr(kubeadm_join, "_is_registered", lambda _endpoint, _name: True)

    assert kubeadm_join._is_cut_off({"control_plane": False, "endpoint": "10.0.0.11:6443"}, "w1") is True
    (tmp_path / lost).write_text("content")
    assert kubeadm_join._is_cut_off({"control_plane": False, "endpoint": "10.0.0.11:6443"}, "w1") is False


def test_a_reset_spares_certificates_that_were_there_before(root: Path, programs: Programs) -> None:
    (root / "etc/kubernetes/pki").mkdir(parents=True)
    (root / "etc/kubernetes/pki/ca.crt").touch()
    kubeadm.begin("init", root=root)

    kubeadm.reset("init", lock=0, run=programs)

    assert any(word.startswith("--cert-dir=") for word in programs.calls[-1])
    assert not kubeadm.marker("init").exists()


def test_a_reset_of_our_own_init_removes_its_certificates(root: Path, programs: Programs) -> None:
    kubeadm.begin("init", root=root)

    kubeadm.reset("init", lock=0, run=programs)

    assert not any(word.startswith("--cert-dir=") for word in programs.calls[-1])


def test_a_program_keeps_the_lock_when_its_module_is_killed(tmp_path: Path) -> None:
    with lock.exclusive("join", wait=0, directory=tmp_path) as held:
        program = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(held,))

    with pytest.raises(host.HostError, match="another join is still running on this host"):
        lock.exclusive("join", wait=0, directory=tmp_path).__enter__()
    program.communicate(b"\n")
    with lock.exclusive("join", wait=5, directory=tmp_path):
        pass


def test_who_holds_a_lock_for_nothing_is_ended_the_program_before_its_module(tmp_path: Path) -> None:
    script = (
        "import pathlib, subprocess, sys\n"
        "program = subprocess.Popen(['sleep', '60'], pass_fds=(int(sys.argv[1]),))\n"
        "pathlib.Path(sys.argv[2] + '-begun').touch()\n"
        "pathlib.Path(sys.argv[2]).write_text(str(program.wait()))"
    )
    told = tmp_path / "told"
    with lock.exclusive("join", wait=0, directory=tmp_path) as held:
        command = [sys.executable, "-c", script, str(held), str(told)]
        module = subprocess.Popen(command, pass_fds=(held,))
    while not (tmp_path / "told-begun").exists():
        time.sleep(0.05)

    with lock.exclusive("join", wait=20, end_after=0.5, directory=tmp_path):
        pass

    module.wait(timeout=10)
    assert told.read_text() == "-15"


def test_what_does_not_end_when_asked_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_GENTLE", 1)
    deaf = (
        "import pathlib, signal, sys\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "pathlib.Path(sys.argv[1], 'deaf').touch()\n"
        "signal.pause()"
    )
    with lock.exclusive("join", wait=0, directory=tmp_path) as held:
        program = subprocess.Popen([sys.executable, "-c", deaf, str(tmp_path)], pass_fds=(held,))
    while not (tmp_path / "deaf").exists():
        time.sleep(0.05)

    with lock.exclusive("join", wait=20, end_after=0, directory=tmp_path):
        pass

    assert program.wait(timeout=10) == -9


def test_init_gets_a_token_that_ends_soon_and_nothing_else_changes() -> None:
    documents = [{"kind": "InitConfiguration", "a": 1}, {"kind": "ClusterConfiguration"}]

    first, second = kubeadm_init.with_short_token(documents)

    assert first == {
        "kind": "InitConfiguration",
        "a": 1,
        "bootstrapTokens": [{"description": "provision init", "ttl": "15m0s"}],
    }
    assert second == documents[1]


def wanted(**more: Any) -> dict[str, Any]:
    return {
        "config": {
            "kind": "JoinConfiguration",
            "controlPlane": {"localAPIEndpoint": {"advertiseAddress": "10.0.0.2"}},
        },
        "endpoint": "10.0.0.1:6443",
        "token": TOKEN,
        "ca_hash": f"sha256:{KEY}",
        "certificate_key": KEY,
        "control_plane": False,
        **more,
    }


def test_a_join_always_pins_the_ca() -> None:
    discovery = kubeadm_join.join_configuration(wanted())["discovery"]

    assert discovery == {
        "bootstrapToken": {
            "apiServerEndpoint": "10.0.0.1:6443",
            "token": TOKEN,
            "caCertHashes": [f"sha256:{KEY}"],
        }
    }


def test_only_a_control_plane_gets_the_certificate_key() -> None:
    assert "certificateKey" not in kubeadm_join.join_configuration(wanted())["controlPlane"]
    assert kubeadm_join.join_configuration(wanted(control_plane=True))["controlPlane"] == {
        "localAPIEndpoint": {"advertiseAddress": "10.0.0.2"},
        "certificateKey": KEY,
    }


class Joins:
    """Stands for kubeadm join on a host: fails with these messages, one after the other, then joins."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *failures: str) -> None:
        self.failures = list(failures)
        self.done: list[str] = []
        monkeypatch.setattr(kubeadm_join, "_join", self._join)
        monkeypatch.setattr(kubeadm_join, "_undo", lambda *_: self.done.append("undone"))
        monkeypatch.setattr(kubeadm_join.time, "sleep", lambda _: None)

    def _join(self, _wanted: object, _lock: int) -> None:
        self.done.append("join")
        if self.failures:
            raise host.HostError(self.failures.pop(0))

    def __call__(self, *, control_plane: bool = False) -> list[str]:
        changes = host.Changes()
        kubeadm_join._join_at_last({"control_plane": control_plane, "spread": 0}, "w1", changes, 0)
        return list(changes.sentences)


TIMED_OUT = "kubeadm join failed: error: Get configmaps kubeadm-config: net/http: request timed out"
# Met on lab machines: kubeadm fetches its configuration in that phase.
IN_PREFLIGHT = (
    "kubeadm join failed: error: error execution phase preflight: unable to fetch the kubeadm-config ConfigMap: "
    "could not download the kube-proxy configuration: context deadline exceeded"
)


@pytest.mark.parametrize("said", [TIMED_OUT, IN_PREFLIGHT])
def test_a_join_that_a_busy_server_refused_is_undone_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    joins = Joins(monkeypatch, said, said)

    sentences = joins()

    assert joins.done == ["join", "undone", "join", "undone", "join"]
    assert sentences[-1] == "ran kubeadm join"


def test_a_control_plane_that_a_busy_server_did_not_answer_is_joined_once_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = (
        "download-certs: error downloading the secret: net/http: request canceled (Client.Timeout exceeded)"
    )
    joins = Joins(monkeypatch, said)

    sentences = joins(control_plane=True)

    assert joins.done == ["join", "undone", "join"]
    assert sentences == ["undid a kubeadm join that failed soon", "ran kubeadm join"]


def test_a_join_is_given_up_after_the_third_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    joins = Joins(monkeypatch, *[TIMED_OUT] * 4)

    with pytest.raises(host.HostError, match="timed out"):
        joins()

    assert joins.done.count("join") == 3


@pytest.mark.parametrize(
    "said", ["kubeadm preflight: Port-10250 Port 10250 is in use; request timed out", "an unknown flag"]
)
def test_a_join_that_would_fail_again_is_not_tried_again(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    joins = Joins(monkeypatch, said)

    with pytest.raises(host.HostError):
        joins()

    assert joins.done == ["join"]


def test_what_failed_only_after_kubeadms_own_patience_is_not_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    joins = Joins(monkeypatch, TIMED_OUT)
    clock = iter([0.0, 130.0])
    monkeypatch.setattr(kubeadm_join.time, "monotonic", lambda: next(clock))

    with pytest.raises(host.HostError):
        joins()

    assert joins.done == ["join"]


WANTED = {"control_plane": True, "endpoint": "10.0.0.1:6443", "etcd": "10.0.0.11", "spread": 0}


def joined_at_last(monkeypatch: pytest.MonkeyPatch, *failures: str) -> list[str]:
    """Join with a kubeadm that fails with these words, one after the other; returns what was done."""
    left, done = list(failures), host.Changes()
    undone: list[str] = []

    def join(_wanted: object, _lock: int) -> None:
        if left:
            raise host.HostError(left.pop(0))

    monkeypatch.setattr(kubeadm_join, "_join", join)
    monkeypatch.setattr(kubeadm_join, "_undo", lambda _wanted, name, _lock: undone.append(name))
    kubeadm_join._join_at_last(WANTED, "cp3", done, 0)
    assert undone == ["cp3"] * len(failures)
    sentences: list[str] = done.sentences
    return sentences


ETCD_FAILED = (
    "kubeadm join failed: error execution phase etcd-join: can only promote a learner member in sync"
)


def test_a_join_that_etcd_did_not_take_is_undone_and_tried_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    sentences = joined_at_last(monkeypatch, ETCD_FAILED)

    assert sentences == ["undid a kubeadm join that failed in etcd", "ran kubeadm join"]


def test_a_join_is_not_tried_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(host.HostError, match="can only promote"):
        joined_at_last(monkeypatch, ETCD_FAILED, ETCD_FAILED)


def test_what_a_second_try_would_not_mend_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(host.HostError, match="Port-6443"):
        joined_at_last(monkeypatch, "kubeadm preflight: Port-6443 is in use")
