from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import Programs, library

host_files = library("host_files")
Changes = library("provision_host").Changes
HostError = library("provision_host").HostError

ACTIVE = "LoadState=loaded\nActiveState=active\nUnitFileState=enabled\n"


def file(path: str, content: str, **more: Any) -> dict[str, Any]:
    return {"path": path, "content": content, "mode": "", "owner": "", "block": False, **more}


def provide(root: Path, programs: Programs, *files: dict[str, Any], **more: Any) -> list[str]:
    changes = Changes(dry=more.pop("dry", False))
    wanted = {"files": list(files), "prune": [], "units": [], **more}
    host_files.provide(wanted, changes, root=root, run=programs, pending_directory=root / "run/provision")
    sentences: list[str] = changes.sentences
    return sentences


def test_a_file_that_is_right_already_is_left_alone(root: Path, programs: Programs) -> None:
    provide(root, programs, file("/etc/a.conf", "x\n"))

    assert provide(root, programs, file("/etc/a.conf", "x\n")) == []


def test_a_mode_that_is_wrong_is_corrected(root: Path, programs: Programs) -> None:
    provide(root, programs, file("/etc/a.conf", "x\n", mode="0600"))
    (root / "etc/a.conf").chmod(0o644)

    provide(root, programs, file("/etc/a.conf", "x\n", mode="0600"))

    assert (root / "etc/a.conf").stat().st_mode & 0o777 == 0o600


def test_a_block_keeps_the_rest_of_the_file_and_its_mode(root: Path, programs: Programs) -> None:
    (root / "etc/bashrc").write_text("mine\n", encoding="utf-8")
    (root / "etc/bashrc").chmod(0o640)

    provide(root, programs, file("/etc/bashrc", "alias k=kubectl", block=True))

    text = (root / "etc/bashrc").read_text(encoding="utf-8")
    assert text == "mine\n# BEGIN provision\nalias k=kubectl\n# END provision\n"
    assert (root / "etc/bashrc").stat().st_mode & 0o777 == 0o640
    assert provide(root, programs, file("/etc/bashrc", "alias k=kubectl", block=True)) == []


def test_our_files_that_are_no_longer_wanted_are_removed_and_others_stay(
    root: Path, programs: Programs
) -> None:
    (root / "etc/certs.d/mine").mkdir(parents=True)
    (root / "etc/certs.d/mine/hosts.toml").write_text("server = 'x'\n", encoding="utf-8")
    provide(root, programs, file("/etc/certs.d/old/hosts.toml", "# Written by provision.\n"))

    provide(
        root,
        programs,
        file("/etc/certs.d/new/hosts.toml", "# Written by provision.\n"),
        prune=["/etc/certs.d"],
    )

    assert sorted(path.parent.name for path in root.rglob("hosts.toml")) == ["mine", "new"]


def test_a_unit_restarts_only_when_a_file_changed(root: Path, programs: Programs) -> None:
    programs.answer("show", out=ACTIVE)
    provide(root, programs, file("/etc/a.conf", "x\n"), units=["a.service"])
    assert programs.ran("systemctl", "restart", "a.service")
    programs.calls.clear()

    assert provide(root, programs, file("/etc/a.conf", "x\n"), units=["a.service"]) == []
    assert not programs.ran("restart")


def test_a_restart_that_was_cut_off_is_made_up_for(root: Path, programs: Programs) -> None:
    programs.answer("show", out=ACTIVE)
    programs.answer("restart", status=1)
    with pytest.raises(HostError, match=r"a\.service does not start"):
        provide(root, programs, file("/etc/a.conf", "x\n"), units=["a.service"])
    programs.answer("restart", status=0)

    assert provide(root, programs, file("/etc/a.conf", "x\n"), units=["a.service"]) == ["restarted a.service"]
    assert provide(root, programs, file("/etc/a.conf", "x\n"), units=["a.service"]) == []


def test_a_unit_that_is_off_is_enabled_and_started(root: Path, programs: Programs) -> None:
    programs.answer("show", out="LoadState=loaded\nActiveState=inactive\nUnitFileState=disabled\n")

    sentences = provide(root, programs, units=["a.service"])

    assert sentences == ["enabled a.service", "started a.service"]


def test_a_unit_that_is_not_installed_yet_is_left_to_its_package(root: Path, programs: Programs) -> None:
    programs.answer("show", out="LoadState=not-found\nActiveState=inactive\n")

    assert provide(root, programs, file("/etc/a.conf", "x\n"), units=["a.service"]) == [
        "wrote " + str(root / "etc/a.conf")
    ]


def test_a_masked_unit_is_an_error_with_the_way_out(root: Path, programs: Programs) -> None:
    programs.answer("show", out="LoadState=masked\nActiveState=inactive\n")

    with pytest.raises(HostError, match=r"systemctl unmask a\.service"):
        provide(root, programs, units=["a.service"])


def test_an_unknown_user_is_named(root: Path, programs: Programs) -> None:
    with pytest.raises(HostError, match="there is no user nobody-here"):
        provide(root, programs, file("~nobody-here/.bashrc", "x"))


def test_a_dry_run_writes_and_restarts_nothing(root: Path, programs: Programs) -> None:
    programs.answer("show", out=ACTIVE)

    sentences = provide(root, programs, file("/etc/a.conf", "x\n"), units=["a.service"], dry=True)

    assert len(sentences) == 2
    assert not (root / "etc/a.conf").exists()
    assert not programs.ran("restart")
    assert not (root / "run/provision").exists()


DAEMON = '{"exec-opts": ["native.cgroupdriver=systemd"], "log-opts": {"max-size": "100m"}}'


def test_keys_of_a_json_file_that_are_not_ours_stay_and_a_second_run_changes_nothing(
    root: Path, programs: Programs
) -> None:
    (root / "etc/daemon.json").write_text(
        '{"data-root": "/srv", "exec-opts": ["a=1", "native.cgroupdriver=cgroupfs"], "log-opts": {"max-file": "3"}}',
        encoding="utf-8",
    )
    daemon = file("/etc/daemon.json", DAEMON, json=True)
    assert len(provide(root, programs, daemon)) == 1
    assert json.loads((root / "etc/daemon.json").read_text(encoding="utf-8")) == {
        "data-root": "/srv",
        "exec-opts": ["a=1", "native.cgroupdriver=systemd"],
        "log-opts": {"max-file": "3", "max-size": "100m"},
    }
    assert provide(root, programs, daemon) == []


def test_a_json_file_that_has_our_keys_is_left_as_it_is_written(root: Path, programs: Programs) -> None:
    text = '{ "log-opts":{"max-size":"100m"},"exec-opts":["x","native.cgroupdriver=systemd"] }'
    (root / "etc/daemon.json").write_text(text, encoding="utf-8")
    assert provide(root, programs, file("/etc/daemon.json", DAEMON, json=True)) == []
    assert (root / "etc/daemon.json").read_text(encoding="utf-8") == text


@pytest.mark.parametrize(("text", "message"), [("{,}", "is no valid JSON"), ("[]", "holds no JSON object")])
def test_a_json_file_that_cannot_be_merged_is_named(
    root: Path, programs: Programs, text: str, message: str
) -> None:
    (root / "etc/daemon.json").write_text(text, encoding="utf-8")
    with pytest.raises(HostError, match=f"etc/daemon.json {message}"):
        provide(root, programs, file("/etc/daemon.json", DAEMON, json=True))


def test_systemd_is_told_of_changed_unit_files_before_it_starts_them(root: Path, programs: Programs) -> None:
    programs.answer("systemctl", "show", out=ACTIVE)
    unit = file("/etc/systemd/system/a.service", "# Written by provision.\n")
    provide(root, programs, unit, units=["a.service"])
    assert programs.calls.index(["systemctl", "daemon-reload"]) < programs.calls.index(
        ["systemctl", "restart", "a.service"]
    )
    programs.calls.clear()
    provide(root, programs, unit, units=["a.service"])
    assert not programs.ran("systemctl", "daemon-reload")
