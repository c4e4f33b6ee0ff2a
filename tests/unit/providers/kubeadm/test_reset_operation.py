"""What `provision reset` makes of a file and of what was seen; hosts are documents of a probe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provision.cli import run
from provision.config import Loaded
from provision.engine.operation import Run
from provision.errors import UnreachableError
from provision.model.plan import Finding
from provision.providers.kubeadm.facts import gather as observe
from provision.providers.kubeadm.operations import locked, looking
from provision.providers.kubeadm.operations.looking import Look
from provision.providers.kubeadm.operations.reset import ResetGoal
from tests.unit.providers.kubeadm import factories

if TYPE_CHECKING:
    from provision.model.cluster import Cluster

CLUSTER = factories.cluster("cp", "w", "w")


def goal(tmp_path: Path, *hosts: str, force: bool = False) -> ResetGoal:
    return ResetGoal(Loaded(cluster=CLUSTER, path=tmp_path / "cluster.yaml", warnings=()), hosts, force)


def seen(*left_out: str) -> Look:
    documents = factories.running(CLUSTER)
    return Look(
        factories.observation({name: value for name, value in documents.items() if name not in left_out})
    )


def names(goal: ResetGoal, look: Look) -> list[tuple[str, tuple[str, ...]]]:
    return [(step.name, step.hosts) for step in goal.plan(look)]


def test_a_host_of_a_living_cluster_is_drained_and_forgotten_before_its_reset(tmp_path: Path) -> None:
    assert names(goal(tmp_path, "w2"), seen()) == [
        ("drain-nodes", ("cp1",)),
        ("delete-nodes", ("cp1",)),
        ("reset-hosts", ("w2",)),
    ]


def test_naming_every_host_is_naming_none(tmp_path: Path) -> None:
    every = goal(tmp_path, "w2", "cp1", "w1")

    assert names(every, seen()) == names(goal(tmp_path), seen())
    assert every.whole


def test_the_only_control_plane_is_not_reset_while_workers_stay(tmp_path: Path) -> None:
    (finding,) = goal(tmp_path, "cp1").check(seen())

    assert (finding.severity, finding.check) == ("error", "last-control-plane")


def test_the_kubeconfig_beside_the_file_goes_with_the_whole_cluster_only(tmp_path: Path) -> None:
    path = tmp_path / "demo.kubeconfig"
    path.touch()
    done = Run(changed=True, seconds=1)

    goal(tmp_path, "w2").end(seen(), done, lambda _event: None)
    assert path.exists()
    told = goal(tmp_path).end(seen(), done, lambda _event: None)

    assert not path.exists()
    assert f"removed {path}" in told


@pytest.fixture
def dead_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """An observation in which w2 does not answer."""

    def observed(cluster: Cluster, *, hosts: object = None, **_options: object) -> object:
        chosen = cluster.hosts if hosts is None else hosts
        if any(host.name == "w2" for host in chosen):  # type: ignore[attr-defined]
            finding = Finding(
                severity="error", check="ssh-no-answer", where="w2", message="no answer within 10 s"
            )
            raise UnreachableError("w2: no answer", findings=(finding,))
        return seen("w2").observation

    monkeypatch.setattr(observe, "observe", observed)


@pytest.mark.usefixtures("dead_worker")
def test_a_host_that_cannot_be_reached_stops_the_reset_unless_forced(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError):
        goal(tmp_path).look(lambda _event: None)

    forced = goal(tmp_path, force=True)
    look = forced.look(lambda _event: None)

    assert {host for _, hosts in names(forced, look) for host in hosts} == {"cp1", "w1"}
    (finding,) = forced.check(look)
    assert (finding.severity, finding.where) == ("warning", "w2")
    assert "no answer within 10 s" in finding.message


@pytest.mark.usefixtures("dead_worker")
def test_a_host_that_stays_may_be_down_while_another_is_reset(tmp_path: Path) -> None:
    look = goal(tmp_path, "w1").look(lambda _event: None)

    assert {host for _, hosts in names(goal(tmp_path, "w1"), look) for host in hosts} == {"cp1", "w1"}
    with pytest.raises(UnreachableError):
        goal(tmp_path, "w2").look(lambda _event: None)


def test_the_lock_is_on_control_planes_that_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = factories.cluster("cp", "cp", "cp", "w", endpoint="10.0.0.10:6443")
    look = Look(factories.observation(factories.running(cluster)))
    given: list[Look] = []
    monkeypatch.setattr(locked, "locked_playbooks", lambda _cluster, seen, **_options: given.append(seen))

    for hosts in (("cp1",), ("cp1", "cp2", "cp3"), ()):
        loaded = Loaded(cluster=cluster, path=tmp_path / "cluster.yaml", warnings=())
        ResetGoal(loaded, hosts).backend(look)

    assert [list(seen.observation.hosts) for seen in given] == [
        ["cp2", "cp3", "w1"],
        ["cp1", "cp2", "cp3", "w1"],
        ["cp1", "cp2", "cp3", "w1"],
    ]


FILE = """\
name: demo
provider: kubeadm
kubernetes: "1.36.3"
hosts:
  - {name: cp1, address: 192.0.2.1, role: control-plane}
"""


def test_an_unknown_host_is_told_with_those_that_there_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("cluster.yaml").write_text(FILE)

    assert run(["reset", "w9", "--yes"]) == 3
    assert "has no host w9\n  fix: its hosts are cp1" in capsys.readouterr().err


@pytest.mark.parametrize(("typed", "code"), [("demo", 0), ("yes", 130), ("", 130)])
def test_only_the_clusters_name_is_a_yes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    typed: str,
    code: int,
) -> None:
    from provision.engine import run as reaching  # noqa: PLC0415

    monkeypatch.setenv("PROVISION_STATE", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    Path("cluster.yaml").write_text(FILE)
    alone = factories.cluster("cp")
    look = Look(factories.observation(factories.running(alone)))
    monkeypatch.setattr(looking, "look", lambda *_, **__: look)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("typer.prompt", lambda *_, **__: typed)
    monkeypatch.setattr(reaching, "_run", lambda *_, **__: None)

    assert run(["reset"]) == code
    assert ("This destroys the cluster with everything in it: cp1" in capsys.readouterr().err) is True
