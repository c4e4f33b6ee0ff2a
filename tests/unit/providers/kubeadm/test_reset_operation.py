"""What `provision reset` plans and reports; hosts are documents of the probe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provision.cli import run
from provision.cli.interaction import Terminal
from provision.config import Loaded
from provision.engine.operation import RunResult
from provision.errors import UnreachableError
from provision.model.plan import Finding
from provision.providers.kubeadm.operations import observed, reset as reset_operation
from provision.providers.kubeadm.operations.observed import Observed
from provision.providers.kubeadm.operations.reset import ResetOperation
from provision.report.tables import outcome_text
from tests.unit.providers.kubeadm import factories

if TYPE_CHECKING:
    from provision.model.cluster import Cluster

CLUSTER = factories.cluster("cp", "w", "w")


def reset(tmp_path: Path, *hosts: str, force: bool = False) -> ResetOperation:
    loaded = Loaded(cluster=CLUSTER, path=tmp_path / "cluster.yaml", warnings=())
    return ResetOperation(loaded=loaded, hosts=hosts, force=force)


def seen(*left_out: str) -> Observed:
    documents = factories.running(CLUSTER)
    return Observed(
        observation=factories.observation(
            {name: value for name, value in documents.items() if name not in left_out}
        )
    )


def names(operation: ResetOperation, look: Observed) -> list[tuple[str, tuple[str, ...]]]:
    return [(step.name, step.hosts) for step in operation.plan(look)]


def test_a_host_of_a_living_cluster_is_drained_and_forgotten_before_its_reset(tmp_path: Path) -> None:
    assert names(reset(tmp_path, "w2"), seen()) == [
        ("drain-nodes", ("cp1",)),
        ("delete-nodes", ("cp1",)),
        ("reset-hosts", ("w2",)),
    ]


def test_naming_every_host_is_naming_none(tmp_path: Path) -> None:
    every = reset(tmp_path, "w2", "cp1", "w1")

    assert names(every, seen()) == names(reset(tmp_path), seen())
    assert every.whole


def test_the_only_control_plane_is_not_reset_while_workers_stay(tmp_path: Path) -> None:
    (finding,) = reset(tmp_path, "cp1").check(seen())

    assert (finding.severity, finding.check) == ("error", "last-control-plane")


def test_the_kubeconfig_beside_the_file_goes_with_the_whole_cluster_only(tmp_path: Path) -> None:
    path = tmp_path / "demo.kubeconfig"
    path.touch()
    done = RunResult(changed=True, seconds=1)

    reset(tmp_path, "w2").finish(seen(), done, Terminal())
    assert path.exists()
    text = outcome_text(reset(tmp_path).finish(seen(), done, Terminal()))

    assert not path.exists()
    assert f"removed {path}" in text


@pytest.fixture
def dead_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """An observation in which w2 does not answer."""

    def observe(cluster: Cluster, *, hosts: object = None, **_options: object) -> object:
        chosen = cluster.hosts if hosts is None else hosts
        if any(host.name == "w2" for host in chosen):  # type: ignore[attr-defined]
            finding = Finding(
                severity="error", check="ssh-no-answer", where="w2", message="no answer within 10 s"
            )
            raise UnreachableError("w2: no answer", findings=(finding,))
        return seen("w2").observation

    monkeypatch.setattr(observed, "observe", observe)


@pytest.mark.usefixtures("dead_worker")
def test_a_host_that_cannot_be_reached_stops_the_reset_unless_forced(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError):
        reset(tmp_path).observe(lambda _event: None, Terminal())

    forced = reset(tmp_path, force=True)
    look = forced.observe(lambda _event: None, Terminal())

    assert {host for _, hosts in names(forced, look) for host in hosts} == {"cp1", "w1"}
    (finding,) = forced.check(look)
    assert (finding.severity, finding.where) == ("warning", "w2")
    assert "no answer within 10 s" in finding.message


@pytest.mark.usefixtures("dead_worker")
def test_a_host_that_stays_may_be_down_while_another_is_reset(tmp_path: Path) -> None:
    look = reset(tmp_path, "w1").observe(lambda _event: None, Terminal())

    assert {host for _, hosts in names(reset(tmp_path, "w1"), look) for host in hosts} == {"cp1", "w1"}
    with pytest.raises(UnreachableError):
        reset(tmp_path, "w2").observe(lambda _event: None, Terminal())


def test_the_lock_is_on_control_planes_that_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = factories.cluster("cp", "cp", "cp", "w", endpoint="10.0.0.10:6443")
    look = Observed(observation=factories.observation(factories.running(cluster)))
    given: list[Observed] = []
    monkeypatch.setattr(
        reset_operation,
        "locked_playbooks",
        lambda _cluster, seen, _interaction, **_options: given.append(seen),
    )

    for hosts in (("cp1",), ("cp1", "cp2", "cp3"), ()):
        loaded = Loaded(cluster=cluster, path=tmp_path / "cluster.yaml", warnings=())
        ResetOperation(loaded=loaded, hosts=hosts).step_runner(look, Terminal())

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
    monkeypatch.setenv("PROVISION_STATE", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    Path("cluster.yaml").write_text(FILE)
    alone = factories.cluster("cp")
    look = Observed(observation=factories.observation(factories.running(alone)))
    monkeypatch.setattr(reset_operation, "observe_all", lambda *_, **__: look)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("typer.prompt", lambda *_, **__: typed)
    monkeypatch.setattr("provision.engine.run._Run.apply", lambda *_, **__: ())

    assert run(["reset"]) == code
    assert ("This destroys the cluster with everything in it: cp1" in capsys.readouterr().err) is True
