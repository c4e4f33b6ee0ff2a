"""The agent's lock and tokens against a stand-in for the API server that knows versions of objects."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from provision.providers.kubeadm import host_programs
from tests.unit.modules.api_server import ApiServer
from tests.unit.modules.conftest import library

agent = library("provision_agent")
connection = library("provision_api_connection")
lease = library("provision_lease")
Api = library("provision_api").Api
Said = list[dict[str, Any]]


class VersionedServer(ApiServer):
    """Refuses what was made of an older version, as the real one does."""

    def answer(self, method: str, path: str, kind: str, body: str) -> tuple[int, Any]:
        place = path.partition("?")[0]
        data = json.loads(body) if body else {}
        conflict = (409, {"message": "the object has been modified"})
        if method == "POST":
            place = f"{place}/{data['metadata']['name']}"
            if place in self.objects:
                return conflict
        if method == "PUT":
            if self.objects[place]["metadata"]["resourceVersion"] != data["metadata"]["resourceVersion"]:
                return conflict
            self.objects[place] = data
        if method == "DELETE" and "preconditions" in data:
            present = self.objects.get(place, {}).get("metadata", {})
            if present.get("resourceVersion") != data["preconditions"]["resourceVersion"]:
                return conflict
        status, answer = (200, data) if method == "PUT" else super().answer(method, path, kind, body)
        if method in {"POST", "PUT"}:
            self.objects[place]["metadata"]["resourceVersion"] = str(time.monotonic_ns())
        return status, answer


@dataclass(frozen=True, slots=True)
class Plane:
    """A control plane: its API server and its root directory."""

    server: VersionedServer
    root: str

    def lease(self) -> dict[str, Any]:
        found: dict[str, Any] = self.server.objects[lease.LEASE]
        return found


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Plane]:
    server = VersionedServer(tmp_path)
    etc = tmp_path / "etc/kubernetes"
    (etc / "manifests").mkdir(parents=True)
    (etc / "admin.conf").write_text(server.admin_conf())
    manifest = f"    - --advertise-address=127.0.0.1\n    - --secure-port={server.port}\n"
    (etc / "manifests/kube-apiserver.yaml").write_text(manifest)
    yield Plane(server, str(tmp_path))
    server.close()


@contextmanager
def client(plane: Plane) -> Iterator[Any]:
    api = Api(connection.credentials(plane.root))
    try:
        yield api
    finally:
        api.close()


def take(plane: Plane, name: str, *dead: str) -> None:
    with client(plane) as api:
        lease.take(api, owner(name), list(dead))


def tokens_answer(request: dict[str, Any], root: str) -> Any:
    return agent.answer_to({"do": "tokens", **request}, root)


def owner(name: str) -> dict[str, str]:
    return {"id": name, "who": f"{name}@desk", "command": "provision apply", "since": "now"}


def hold(
    plane: Plane, name: str, *beats: bytes | None, with_lease: bool = True, dead: tuple[str, ...] = ()
) -> Said:
    """What a run says whose command gives these signs of life."""
    said: Said = []
    lines: queue.Queue[bytes | None] = queue.Queue()
    for beat in beats:
        lines.put(beat)
    request = {"owner": owner(name), "lease": with_lease, "dead": list(dead)}
    agent.hold(request, said.append, lines, plane.root)
    return said


def test_the_lock_is_held_renewed_and_gone_after_the_command(plane: Plane) -> None:
    said = hold(plane, "ann", b"beat\n", None)

    assert said == [{"held": {}}, {"beat": ""}]
    assert plane.server.objects == {}


def test_a_second_run_on_another_control_plane_is_told_who_where_and_since_when(plane: Plane) -> None:
    take(plane, "ann")

    (said,) = hold(plane, "bob", None)

    assert said["busy"] == owner("ann")
    assert plane.lease()["spec"]["holderIdentity"] == "ann@desk"


def test_a_second_run_on_the_same_control_plane_is_refused_before_there_is_an_api_server(
    plane: Plane,
) -> None:
    said: Said = []

    def tell(answer: dict[str, object]) -> None:
        said.append(answer)
        if "held" in answer:
            said.extend(hold(plane, "bob", None, with_lease=False))

    lines: queue.Queue[bytes | None] = queue.Queue()
    lines.put(None)
    agent.hold({"owner": owner("ann"), "lease": False, "dead": []}, tell, lines, plane.root)

    assert said == [{"held": {}}, {"busy": owner("ann"), "age": 0}]
    assert hold(plane, "bob", None, with_lease=False) == [{"held": {}}]


def test_a_lock_without_signs_of_life_is_taken_over_and_the_former_owner_named(plane: Plane) -> None:
    take(plane, "ann")
    plane.lease()["spec"]["renewTime"] = "2026-01-01T00:00:00.000000Z"

    said = hold(plane, "bob", None)

    assert said == [{"held": owner("ann")}]


def test_the_lock_of_an_owner_that_is_known_to_be_dead_is_taken_over_at_once(plane: Plane) -> None:
    take(plane, "ann")

    assert hold(plane, "bob", None, dead=("ann",)) == [{"held": owner("ann")}]


def test_a_lock_that_somebody_took_over_meanwhile_is_lost_and_not_released(plane: Plane) -> None:
    said: Said = []

    def tell(answer: dict[str, object]) -> None:
        said.append(answer)
        if "held" in answer:
            take(plane, "bob", "ann")

    lines: queue.Queue[bytes | None] = queue.Queue()
    lines.put(b"beat\n")
    agent.hold({"owner": owner("ann"), "lease": True, "dead": []}, tell, lines, plane.root)

    assert said[1] == {"lost": owner("bob")}
    assert plane.lease()["spec"]["holderIdentity"] == "bob@desk"


def test_a_command_that_stands_still_loses_the_lock(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "SECONDS", 0.05)

    said = hold(plane, "ann")  # no line, and no end

    assert said == [{"held": {}}]
    assert plane.server.objects == {}


def test_an_api_server_that_is_away_for_a_while_is_no_loss(plane: Plane) -> None:
    said: Said = []

    def tell(answer: dict[str, object]) -> None:
        said.append(answer)
        if "held" in answer:
            plane.server.close()

    lines: queue.Queue[bytes | None] = queue.Queue()
    for line in (b"beat\n", None):
        lines.put(line)
    agent.hold({"owner": owner("ann"), "lease": True, "dead": []}, tell, lines, plane.root)

    assert "refused" in str(said[1]["beat"])
    plane.server.__init__(Path(plane.root))  # type: ignore[misc]  # the fixture closes it


def test_a_lock_that_is_held_elsewhere_by_now_is_left_as_it_is(plane: Plane) -> None:
    said = hold(plane, "ann", b"beat\n", b"leave\n", None)

    assert said == [{"held": {}}, {"beat": ""}]
    assert plane.lease()["spec"]["holderIdentity"] == "ann@desk"


def test_when_two_take_a_free_lock_at_once_one_of_them_gets_it(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = Api(connection.credentials(plane.root))
    get, first = objects.get, [True]

    def get_then_somebody_is_faster(path: str) -> dict[str, Any]:
        found: dict[str, Any] = get(path)
        if first.pop():
            take(plane, "bob")
            first.append(False)
        else:
            first.append(False)
        return found

    monkeypatch.setattr(objects, "get", get_then_somebody_is_faster)

    with pytest.raises(lease.HeldError) as taken:
        lease.take(objects, owner("ann"), [])
    objects.close()

    assert taken.value.holder == owner("bob")


def test_tokens_are_listed_without_their_secrets_unless_asked(plane: Plane) -> None:
    request = {
        "verb": "create",
        "id": "abcdef",
        "secret": "0123456789abcdef",
        "seconds": 900,
        "description": "mine",
    }

    tokens_answer(request, plane.root)
    listed = tokens_answer({"verb": "list"}, plane.root)
    asked = tokens_answer({"verb": "list", "secrets": True}, plane.root)

    assert "0123456789abcdef" not in json.dumps(listed)
    assert "0123456789abcdef" in json.dumps(asked)
    token = listed["tokens"][0]
    assert (token["id"], token["usages"], token["description"]) == (
        "abcdef",
        ["authentication", "signing"],
        "mine",
    )


def test_a_token_that_is_not_there_is_not_deleted(plane: Plane) -> None:
    assert tokens_answer({"verb": "delete", "id": "abcdef"}, plane.root) == {"deleted": False}


def test_only_what_a_run_minted_is_revoked(plane: Plane) -> None:
    for name, words in (("aaaaaa", "provision join-workers"), ("bbbbbb", "somebody's")):
        create = {
            "verb": "create",
            "id": name,
            "secret": "0123456789abcdef",
            "seconds": 900,
            "description": words,
        }
        tokens_answer(create, plane.root)

    done = tokens_answer(
        {"verb": "revoke", "descriptions": ["provision join-workers"], "certificates": True}, plane.root
    )

    assert done == {"revoked": 1}
    assert [token["id"] for token in tokens_answer({"verb": "list"}, plane.root)["tokens"]] == ["bbbbbb"]


@pytest.mark.parametrize("first", [True, False])
def test_who_takes_the_lock_first_revokes_what_killed_runs_were_given(plane: Plane, *, first: bool) -> None:
    for name, words in (("aaaaaa", "provision join-workers"), ("bbbbbb", "provision token create")):
        create = {"verb": "create", "id": name, "secret": "0123456789abcdef", "seconds": 900}
        tokens_answer({**create, "description": words}, plane.root)
    lines: queue.Queue[bytes | None] = queue.Queue()
    lines.put(None)
    said: Said = []

    request = {"owner": owner("ann"), "lease": True, "dead": [], "first": first}
    agent.hold(request, said.append, lines, plane.root)

    assert said == [{"held": {}}]
    left = {token["id"] for token in tokens_answer({"verb": "list"}, plane.root)["tokens"]}
    assert left == ({"bbbbbb"} if first else {"aaaaaa", "bbbbbb"})


def test_a_node_is_uncordoned_if_it_was_us_who_cordoned_it(plane: Plane) -> None:
    for name, notes in (("w1", {"provision/cordoned": "true"}), ("w2", {})):
        plane.server.objects[f"/api/v1/nodes/{name}"] = {
            "metadata": {"name": name, "annotations": notes},
            "spec": {"unschedulable": True},
        }

    assert agent.answer_to({"do": "uncordon", "nodes": ["w1", "w2", "w3"]}, plane.root) == {
        "uncordoned": ["w1"]
    }
    method, path, kind, body = plane.server.requests[1]
    assert (method, path, kind) == ("PATCH", "/api/v1/nodes/w1", "application/merge-patch+json")
    assert json.loads(body) == {
        "metadata": {"annotations": {"provision/cordoned": None}},
        "spec": {"unschedulable": None},
    }


def test_the_agent_runs_from_standard_input_alone_and_nothing_of_its_request_is_in_its_arguments() -> None:
    request = {"do": "tokens", "verb": "create", "id": "abcdef", "secret": "0123456789abcdef"}

    done = subprocess.run(
        [sys.executable, *host_programs.agent_arguments()],
        input=b"a sudo password that nobody wanted\n" + host_programs.agent_source(request),
        capture_output=True,
        check=False,
    )

    (line,) = done.stdout.splitlines()
    assert host_programs.agent_answer(line) == {
        "problem": "this host is no control plane: /etc/kubernetes/admin.conf is missing"
    }
    assert "0123456789abcdef" not in " ".join(host_programs.agent_arguments())
    assert len(" ".join(host_programs.agent_arguments())) < 300
    assert host_programs.agent_answer(b"Welcome to Debian\n") is None
