"""Commands that only read do without hosts that are lost; those that change do not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from provision.cli.interaction import Terminal
from provision.config import Loaded
from provision.errors import UnreachableError
from provision.model.plan import Finding
from provision.providers.eks.operations import apply as eks_apply
from provision.providers.kubeadm.operations import observed
from provision.providers.kubeadm.operations.apply import ApplyOperation
from provision.providers.kubeadm.operations.observed import Observed
from provision.report.tables import status_text
from provision.report.text import plan_text
from tests.unit.providers.eks import factories as eks_factories
from tests.unit.providers.kubeadm import factories

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from provision.model.cluster import Host

CLUSTER = factories.cluster("cp", "cp", "cp", "w", endpoint="10.0.0.10:6443")


def apply(tmp_path: Path, *, skip_unreachable: bool) -> ApplyOperation:
    loaded = Loaded(cluster=CLUSTER, path=tmp_path / "cluster.yaml", warnings=())
    return ApplyOperation(loaded=loaded, skip_unreachable=skip_unreachable)


@pytest.fixture
def _without_cp1(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine of cp1 is off, and the API server knows."""
    documents = factories.running(CLUSTER)
    for name in ("cp2", "cp3"):
        documents[name]["api"]["nodes"][0].update(ready=False, message="Kubelet stopped posting node status.")

    def observe(*_: object, hosts: Sequence[Host] | None = None, **__: Any) -> Any:
        chosen = [host.name for host in CLUSTER.hosts if hosts is None or host in hosts]
        if "cp1" in chosen:
            lost = Finding(
                severity="error", check="unreachable", where="cp1", message="no answer on 10.0.0.11:22"
            )
            raise UnreachableError("cp1: no answer", findings=(lost,))
        return factories.observation({name: documents[name] for name in chosen})

    monkeypatch.setattr(observed, "observe", observe)


@pytest.mark.usefixtures("_without_cp1")
def test_status_tells_what_is_left_when_the_first_control_plane_is_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reader = apply(tmp_path, skip_unreachable=True)

    status = reader.status(reader.observe(lambda _event: None, Terminal()), Terminal())

    assert capsys.readouterr().err == "warning: cp1: no answer on 10.0.0.11:22\n"
    assert not status.healthy
    assert [(node.name, node.ready) for node in status.nodes] == [
        ("cp1", False),
        ("cp2", True),
        ("cp3", True),
        ("w1", True),
    ]
    assert [(member.name, member.healthy, member.problem) for member in status.etcd] == [
        ("cp1", False, ""),
        ("cp2", True, ""),
        ("cp3", True, ""),
    ]


@pytest.mark.usefixtures("_without_cp1")
def test_what_changes_the_cluster_wants_to_see_every_host(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError):
        apply(tmp_path, skip_unreachable=False).observe(lambda _event: None, Terminal())


def _steps_in(text: str) -> int:
    """The number of steps that a text of `plan` or `status` counts."""
    return int(re.findall(r"(\d+) steps?\b", text)[0])


def _smoke_test_pending() -> dict[str, factories.Document]:
    """Every host is a node and ready, but the smoke test that was wanted has not passed yet."""
    documents = factories.running(CLUSTER)
    for host in CLUSTER.control_planes:
        documents[host.name]["api"]["note"]["unproven"] = "true"
    return documents


@pytest.mark.parametrize(
    "documents",
    [{host.name: factories.fresh(host) for host in CLUSTER.hosts}, _smoke_test_pending()],
    ids=["fresh", "smoke-test-pending"],
)
def test_status_and_plan_count_the_same_steps(
    documents: dict[str, factories.Document], tmp_path: Path
) -> None:
    seen = Observed(observation=factories.observation(documents))
    operation = apply(tmp_path, skip_unreachable=True)

    plan = operation.plan(seen)

    assert "smoke-test" in [step.name for step in plan]
    assert (
        _steps_in(status_text(operation.status(seen, Terminal())))
        == _steps_in(plan_text("demo", plan))
        == len(plan)
    )


@pytest.mark.parametrize("backend", ["boto3", "eksctl"])
def test_status_and_plan_of_eks_count_the_same_steps(backend: str, tmp_path: Path) -> None:
    cluster = eks_factories.cluster(backend=backend)
    loaded = Loaded(cluster=cluster, path=tmp_path / "cluster.yaml", warnings=())
    account: Any = None  # neither asks it anything
    operation = eks_apply.ApplyOperation(loaded=loaded, account=account)
    seen = eks_apply.Observed(eks_factories.nothing())

    plan = operation.plan(seen)

    assert (
        _steps_in(status_text(operation.status(seen, Terminal())))
        == _steps_in(plan_text("demo", plan))
        == len(plan)
    )
