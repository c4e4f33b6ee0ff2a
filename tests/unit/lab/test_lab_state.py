"""Labs on disk: machines, name, directory and lock."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from provision.errors import LabError
from provision.lab.state import Lab, Role, design_machines, lab_directory, lab_names, labs_root, locked
from provision.lab.versions import Offer, choose_offer

MEMORY: dict[Role, int] = {"control-plane": 3072, "worker": 2048}


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PROVISION_STATE", str(tmp_path))
    return tmp_path


def test_control_planes_and_workers_have_addresses_of_their_own_ranges() -> None:
    machines = design_machines(2, 2, MEMORY)

    assert [(one.name, one.address, one.memory) for one in machines] == [
        ("cp1", "192.168.77.11", 3072),
        ("cp2", "192.168.77.12", 3072),
        ("w1", "192.168.77.21", 2048),
        ("w2", "192.168.77.22", 2048),
    ]


def test_the_largest_lab_has_no_address_twice() -> None:
    machines = design_machines(9, 200, MEMORY)

    assert len({one.address for one in machines}) == len({one.mac for one in machines}) == 209
    assert all(len(one.tap) <= 15 for one in machines)


def test_fewer_requested_machines_remove_none() -> None:
    three = design_machines(1, 2, MEMORY)

    assert design_machines(1, 0, {"control-plane": 512, "worker": 512}, three) == three


def test_more_requested_machines_keep_the_existing_ones() -> None:
    small = design_machines(1, 1, {"control-plane": 512, "worker": 512})

    grown = design_machines(1, 2, MEMORY, small)

    assert [(one.name, one.memory) for one in grown] == [("cp1", 512), ("w1", 512), ("w2", 2048)]


@pytest.mark.parametrize(("control_planes", "workers"), [(0, 1), (10, 1), (1, -1), (1, 201)])
def test_counts_out_of_range_are_refused(control_planes: int, workers: int) -> None:
    with pytest.raises(LabError, match="a lab has"):
        design_machines(control_planes, workers, MEMORY)


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "../x", "a b", "x" * 25])
def test_a_name_that_cannot_be_part_of_a_path_is_refused(name: str) -> None:
    with pytest.raises(LabError, match="cannot be the name"):
        lab_directory(name)


def test_a_saved_lab_is_loaded_as_it_was() -> None:
    offer = Offer(("1.37", "1.36"), ("docker",))
    lab = Lab("demo", "uml", {"debian-13": "/images/disk.img"}, design_machines(1, 1, MEMORY), offer)

    lab_directory("demo").save(lab)

    assert lab_directory("demo").load() == lab
    assert lab_names() == ("demo",)
    assert lab_directory("demo").record.stat().st_mode & 0o777 == 0o600


def test_a_record_of_before_there_was_a_choice_is_of_a_lab_of_debian_that_offers_the_default() -> None:
    directory, bases = lab_directory("demo"), {"debian-13": "/images/disk.img"}
    directory.save(Lab("demo", "uml", bases, design_machines(1, 1, MEMORY)))
    record = json.loads(directory.record.read_text())
    record["base"] = record.pop("bases")["debian-13"]
    del record["offer"], record["machines"][0]["system"]
    directory.record.write_text(json.dumps(record))

    assert directory.load() == Lab("demo", "uml", bases, design_machines(1, 1, MEMORY), choose_offer((), ()))


def test_a_system_is_that_of_all_new_machines_or_of_a_single_one() -> None:
    first = design_machines(1, 2, MEMORY, systems=("rocky-9", "cp1=debian-13", "w2=rocky-10"))
    more = design_machines(0, 3, MEMORY, first, ("w1=rocky-9",))

    assert [one.system for one in first] == ["debian-13", "rocky-9", "rocky-10"]
    assert [one.system for one in more] == ["debian-13", "rocky-9", "rocky-10", "debian-13"]
    assert Lab("demo", "uml", {}, more).systems == ("debian-13", "rocky-9", "rocky-10")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("rocky-8", "the lab has no system rocky-8"),
        ("w1=suse", "the lab has no system suse"),
        ("w7=rocky-9", "the lab has no machine w7"),
        ("cp1=rocky-9", "cp1 is there and runs debian-13, not rocky-9"),
    ],
)
def test_a_system_that_no_machine_can_have_is_refused_with_what_can_be(asked: str, message: str) -> None:
    existing = design_machines(1, 0, MEMORY)

    with pytest.raises(LabError, match=message) as caught:
        design_machines(0, 1, MEMORY, existing, (asked,))

    assert caught.value.fix


def test_a_lab_without_a_record_is_none() -> None:
    assert lab_directory("demo").load() is None
    assert lab_names() == ()


def test_a_damaged_record_is_reported_with_a_fix() -> None:
    record = lab_directory("demo").record
    record.parent.mkdir(parents=True)
    record.write_text('{"name": "demo"')

    with pytest.raises(LabError, match="is damaged") as caught:
        lab_directory("demo").load()

    assert "provision lab down --name demo" in caught.value.fix


def test_an_unknown_host_is_refused_with_the_existing_ones() -> None:
    lab = Lab("demo", "uml", {}, design_machines(1, 1, MEMORY))

    with pytest.raises(LabError, match="no host w7") as caught:
        lab.machine("w7")

    assert "cp1, w1" in caught.value.fix


def test_a_second_process_gets_the_pid_of_the_lock_holder() -> None:
    code = "from provision.lab.state import locked\nwith locked('demo'): pass"

    with locked("demo"):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode != 0
    assert f"process {os.getpid()} is changing lab demo" in done.stderr


def test_the_lock_leaves_no_file_and_can_be_taken_again() -> None:
    for _ in range(2):
        with locked("demo"):
            assert any(labs_root().iterdir())

    assert list(labs_root().iterdir()) == []


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"PROVISION_STATE": "/a"}, "/a/lab"),
        ({"XDG_STATE_HOME": "/b"}, "/b/provision/lab"),
        ({"HOME": "/c"}, "/c/.local/state/provision/lab"),
    ],
)
def test_the_directory_of_labs_follows_the_environment(
    variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PROVISION_STATE", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert labs_root() == Path(expected)
