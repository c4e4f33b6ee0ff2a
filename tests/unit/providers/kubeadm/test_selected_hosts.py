"""Operations on some hosts: who has to answer, what is reported of others, what Ansible and the file get."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from provision.cli.interaction import Terminal
from provision.config import kubeadm_only, load
from provision.config.edit import add_hosts, load_edited
from provision.engine.operation import RunResult
from provision.errors import CheckError, FileError, UnreachableError
from provision.model.cluster import Host
from provision.model.plan import Finding
from provision.providers.kubeadm.operations import nodes, operation
from provision.providers.kubeadm.operations.nodes import AddNodes, RemoveNodes
from provision.providers.kubeadm.operations.observed import Observed, observe_some
from provision.report.tables import outcome_text
from tests.unit.providers.kubeadm import factories
from tests.unit.providers.kubeadm.fixtures import Hosts

if TYPE_CHECKING:
    from provision.model.cluster import Cluster

FILE = """\
# A cluster at home.
name: demo
kubernetes: "1.36.3"
endpoint: 10.0.0.10:6443
hosts:
  - {name: cp1, address: 10.0.0.11, role: control-plane}
  - {name: cp2, address: 10.0.0.12, role: control-plane}
  - {name: cp3, address: 10.0.0.13, role: control-plane}
  - {name: w1, address: 10.0.0.21, role: worker}  # the old one
  - {name: w2, address: 10.0.0.22, role: worker}
"""


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> Hosts:
    return Hosts(factories.cluster("cp", "cp", "cp", "w", "w", "w", endpoint="10.0.0.10:6443"), monkeypatch)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "cluster.yaml"
    path.write_text(FILE)
    return path


def silently(_event: object) -> None:
    """Drop the event."""


def observed(hosts: Hosts, *names: str) -> Observed:
    return observe_some(hosts.cluster, names, silently, Terminal(), None, must_answer=(), not_through=names)


def removal(file: Path, *names: str, force: bool = False) -> RemoveNodes:
    return RemoveNodes(
        loaded=kubeadm_only(load(file), "node remove"),
        names=names,
        command="provision node remove",
        force=force,
        drain_seconds=60,
    )


def test_a_host_that_the_command_is_about_has_to_answer(hosts: Hosts) -> None:
    hosts.kill("w2")

    with pytest.raises(UnreachableError) as caught:
        observe_some(hosts.cluster, ("w2",), silently, Terminal(), None, must_answer=("w2",), not_through=())

    assert [finding.where for finding in caught.value.findings] == ["w2"]
    assert observed(hosts, "w2").unreachable.keys() == {"w2"}


def test_without_another_control_plane_nothing_can_be_done(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = Hosts(factories.cluster("cp", "w"), monkeypatch)

    with pytest.raises(UnreachableError, match="cluster demo has no other control plane"):
        observed(hosts, "cp1", "w1")


def test_control_planes_that_do_not_speak_are_all_told(hosts: Hosts) -> None:
    for name in ("cp1", "cp2", "cp3"):
        hosts.silence(name)

    with pytest.raises(UnreachableError, match="hosts cannot be used") as caught:
        observed(hosts, "w1")

    assert [finding.where for finding in caught.value.findings] == ["cp1", "cp2", "cp3"]


def test_only_what_concerns_the_hosts_is_told_and_a_control_plane_passed_over_is_a_warning(
    hosts: Hosts, file: Path
) -> None:
    hosts.kill("cp1")
    seen = observed(hosts, "w1")
    found = [
        Finding(severity="error", check=check, where=where, message="x", fix="y")
        for check, where in (
            ("disk", "w1"),
            ("disk", "cp2"),
            ("duplicate-mac", "cp2"),
            ("ranges", ""),
        )
    ]

    told = list(removal(file, "w1").concerning(seen, found))

    assert [(finding.check, finding.where) for finding in told[:-1]] == [
        ("disk", "w1"),
        ("duplicate-mac", "cp2"),
        ("ranges", ""),
    ]
    assert (told[-1].severity, told[-1].where) == ("warning", "cp1")
    assert told[-1].message.endswith("; another control plane is used")


def test_a_host_that_cannot_be_told_of_another_control_plane_is_named(hosts: Hosts, file: Path) -> None:
    hosts.kill("w2")
    seen = observed(hosts, "cp3", "w1", "w2")

    (told,) = removal(file, "cp3").concerning(seen, ())

    assert (told.severity, told.check, told.where) == ("warning", "host-untold", "w2")
    # For a worker only those are observed whose firewalls have to know.
    assert list(removal(file, "w1").concerning(observed(hosts, "w1"), ())) == []


def test_the_last_control_plane_is_refused_before_anybody_is_asked(hosts: Hosts, file: Path) -> None:
    with pytest.raises(CheckError) as caught:
        removal(file, "cp1", "cp2", "cp3").observe(silently, Terminal())

    assert [finding.check for finding in caught.value.findings] == ["last-control-plane"]
    assert hosts.rounds == []


@pytest.mark.usefixtures("hosts")
def test_a_file_that_cannot_forget_a_host_is_told_before_the_first_step(file: Path) -> None:
    one = "{name: w1, address: 10.0.0.21, role: worker}  # the old one"
    other = "{name: w2, address: 10.0.0.22, role: worker}"
    file.write_text(
        FILE.replace(one, "&w1 {name: w1, address: 10.0.0.21, role: worker}").replace(
            other, "{<<: *w1, name: w2, address: 10.0.0.22}"
        )
    )
    leaving = removal(file, "w1")
    seen = leaving.observe(silently, Terminal())

    with pytest.raises(FileError):
        leaving.begin(seen)


@pytest.mark.usefixtures("hosts")
def test_the_kubeconfig_beside_the_file_is_made_anew_when_a_control_plane_left(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def fetch(_cluster: Cluster, seen: Observed) -> str:
        asked.append(seen.observation.source)
        return "fresh"

    monkeypatch.setattr(operation, "fetch_kubeconfig", fetch)
    kept = file.with_name("demo.kubeconfig")
    done = RunResult(changed=True, seconds=61.0)

    worker = removal(file, "w1")
    worker.finish(worker.observe(silently, Terminal()), done, Terminal())
    assert not kept.exists()
    first = removal(file, "cp1")
    first.finish(first.observe(silently, Terminal()), done, Terminal())

    assert (asked, kept.read_text()) == (["cp2"], "fresh")
    monkeypatch.setattr(operation, "fetch_kubeconfig", unreachable)
    second = removal(file, "cp3")
    second.finish(second.observe(silently, Terminal()), done, Terminal())
    assert "warning: cp2 is away; later: `provision kubeconfig`" in capsys.readouterr().err


def unreachable(*_arguments: object, **_options: object) -> str:
    raise UnreachableError("cp2 is away")


def test_a_machine_that_is_gone_is_removed_by_force_alone(hosts: Hosts, file: Path) -> None:
    hosts.kill("w2")

    with pytest.raises(UnreachableError) as caught:
        removal(file, "w2").observe(silently, Terminal())
    forced = removal(file, "w2", force=True)
    seen = forced.observe(silently, Terminal())

    assert caught.value.findings[0].fix.endswith("if that machine is gone for good: add --force")
    assert forced.warnings(seen, ()) == ("Not reached, and so not reset: w2.",)
    assert [step.name for step in forced.plan(seen)] == ["delete-nodes"]


def test_a_worker_is_looked_at_alone_and_for_a_control_plane_everybody_is(hosts: Hosts, file: Path) -> None:
    removal(file, "w1").observe(silently, Terminal())
    removal(file, "cp3").observe(silently, Terminal())

    assert hosts.rounds[0] == ["w1", "cp1"]
    assert set(hosts.rounds[1]) == {"cp1", "cp2", "cp3", "w1", "w2"}


@pytest.mark.usefixtures("hosts")
def test_ansible_hears_of_the_observed_hosts_and_the_lock_is_where_nobody_leaves(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}

    def locked_playbooks(
        cluster: Cluster, seen: Observed, _interaction: object, *, command: str
    ) -> nullcontext[None]:
        given.update(cluster=cluster, seen=seen, command=command)
        return nullcontext()

    monkeypatch.setattr(nodes, "locked_playbooks", locked_playbooks)
    leaving = removal(file, "w1")

    leaving.step_runner(leaving.observe(silently, Terminal()), Terminal())

    assert [host.name for host in given["cluster"].hosts] == ["cp1", "w1"]
    assert list(given["seen"].observation.hosts) == ["cp1"]
    assert given["command"] == "provision node remove"


@pytest.mark.usefixtures("hosts")
def test_the_file_has_a_new_host_before_its_first_step_and_loses_one_after_the_last(file: Path) -> None:
    edit = add_hosts([Host(name="w3", address="10.0.0.23", role="worker")])
    coming = AddNodes(loaded=load_edited(file, edit), names=("w3",), command="provision node add", edit=edit)
    leaving = removal(file, "w1")
    seen = leaving.observe(silently, Terminal())
    assert file.read_text() == FILE

    coming.begin(seen)
    assert "w3" in file.read_text()
    leaving.begin(seen)
    assert "the old one" in file.read_text()
    text = outcome_text(leaving.finish(seen, RunResult(changed=True, seconds=61.0), Terminal()))

    assert "w1" in text
    assert "the old one" not in file.read_text()
    assert file.read_text().startswith("# A cluster at home.\n")
