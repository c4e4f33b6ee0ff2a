from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from .conftest import Programs, library

pinned_packages = library("pinned_packages")
apt = library("provision_apt")
download = library("provision_download")
host = library("provision_host")
openpgp = library("provision_openpgp")
Changes, HostError = host.Changes, host.HostError

Key = tuple[bytes, bytes, str]


def wanted(fingerprint: str) -> dict[str, Any]:
    return {
        "name": "containerd",
        "apt": {
            "url": "http://mirror/linux/{id}",
            "suite": "{codename}",
            "components": ["stable"],
            "key_url": "http://mirror/linux/{id}/gpg",
            "fingerprint": fingerprint,
        },
        "packages": {"containerd.io": "2.2.3"},
        "lock_timeout": 0,
    }


@pytest.fixture
def debian(root: Path) -> Path:
    (root / "etc/os-release").write_text('ID=debian\nVERSION_CODENAME="trixie"\n', encoding="utf-8")
    return root


def test_the_newest_version_of_a_line_is_asked_for_as_apt_understands_it(
    debian: Path, programs: Programs, openpgp_key: Key
) -> None:
    parameters = {**wanted(openpgp_key[2]), "packages": {"cri-tools": "1.36.*"}}
    programs.answer("dpkg-query", out="hi \tcri-tools\t1.35.0-1.1\n")
    pinned_packages.provide(
        parameters, Changes(), root=debian, run=programs, fetch=lambda _url: openpgp_key[1]
    )

    # apt takes a star at the end alone.
    assert programs.ran("apt-get", "install", "cri-tools=1.36.*")
    pin = (debian / "etc/apt/preferences.d/provision-containerd").read_text(encoding="utf-8")
    assert "Package: cri-tools\nPin: version 1.36.*\n" in pin

    programs.calls.clear()
    programs.answer("dpkg-query", out="hi \tcri-tools\t1.36.0-1.1\n")
    pinned_packages.provide(
        parameters, Changes(), root=debian, run=programs, fetch=lambda _url: openpgp_key[1]
    )
    assert not programs.ran("apt-get", "install")


def test_without_a_fingerprint_the_key_that_https_serves_is_trusted_and_kept(
    tmp_path: Path, openpgp_key: Key
) -> None:
    path, url = tmp_path / "key.gpg", "https://mirror/Release.key"
    found = download.repository_key(path, url, "", lambda _url: openpgp_key[1])
    assert found == (openpgp_key[0], f"trusted the key {openpgp_key[2]} for its repository, as {url} says")

    path.write_bytes(openpgp_key[0])
    assert download.repository_key(path, url, "", lambda _url: pytest.fail("fetched again")) is None


def test_without_a_fingerprint_nothing_is_trusted_that_http_serves(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="not fetched by https, and the fingerprint of its key is not known"):
        download.repository_key(tmp_path / "key.gpg", "http://mirror/Release.key", "", lambda _url: b"")


def provide(root: Path, programs: Programs, key: Key, *, dry: bool = False) -> tuple[Any, list[str]]:
    changes, fetched = Changes(dry=dry), []

    def fetch(url: str) -> bytes:
        fetched.append(url)
        return key[1]

    pinned_packages.provide(wanted(key[2]), changes, root=root, run=programs, fetch=fetch)
    return changes, fetched


def test_the_fingerprint_is_the_one_that_gpg_says(openpgp_key: Key) -> None:
    binary, armored, fingerprint = openpgp_key

    assert openpgp.fingerprints(openpgp.dearmor(armored)) == [fingerprint]
    assert openpgp.fingerprints(openpgp.dearmor(binary)) == [fingerprint]
    assert openpgp.dearmor(openpgp.armored(binary)) == binary
    assert openpgp.armored(binary) == armored  # with the same checksum


def test_a_key_that_is_cut_off_is_refused(openpgp_key: Key) -> None:
    with pytest.raises(HostError, match="cut off"):
        openpgp.fingerprints(openpgp_key[0][:-3])


@pytest.mark.parametrize("data", [b"", b"<html>sign in</html>", b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n"])
def test_what_is_no_key_is_refused(data: bytes) -> None:
    with pytest.raises(HostError, match="no OpenPGP public key"):
        openpgp.dearmor(data)


def test_another_key_is_refused_and_nothing_is_written(
    debian: Path, programs: Programs, openpgp_key: Key
) -> None:
    with pytest.raises(HostError, match=f"holds {openpgp_key[2]}, but the key {'A' * 40} is expected"):
        provide(debian, programs, (*openpgp_key[:2], "A" * 40))

    assert not (debian / "etc/apt").exists()


def test_a_second_key_in_the_file_is_refused(debian: Path, programs: Programs, openpgp_key: Key) -> None:
    binary, _, fingerprint = openpgp_key

    with pytest.raises(HostError, match=f"holds {fingerprint}, {fingerprint}"):
        provide(debian, programs, (b"", binary + binary, fingerprint))


def test_a_key_that_lost_its_content_with_the_power_is_fetched_again(
    debian: Path, programs: Programs, openpgp_key: Key
) -> None:
    key = debian / "etc/apt/keyrings/provision-containerd.gpg"
    key.parent.mkdir(parents=True)
    key.touch()

    provide(debian, programs, openpgp_key)

    assert openpgp.fingerprints(key.read_bytes()) == [openpgp_key[2]]


def test_the_key_is_on_the_disk_before_it_has_its_name(
    debian: Path, programs: Programs, openpgp_key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor)))

    provide(debian, programs, openpgp_key)

    key = (debian / "etc/apt/keyrings/provision-containerd.gpg").stat()
    assert [one.st_size for one in synced if one.st_ino == key.st_ino] == [key.st_size]


def test_repository_pin_and_packages_are_put_in_place(
    debian: Path, programs: Programs, openpgp_key: Key
) -> None:
    changes, fetched = provide(debian, programs, openpgp_key)

    source = (debian / "etc/apt/sources.list.d/provision-containerd.sources").read_text(encoding="utf-8")
    assert fetched == ["http://mirror/linux/debian/gpg"]
    assert "URIs: http://mirror/linux/debian\nSuites: trixie\nComponents: stable\n" in source
    assert f"Signed-By: {debian}/etc/apt/keyrings/provision-containerd.gpg" in source
    pin = (debian / "etc/apt/preferences.d/provision-containerd").read_text(encoding="utf-8")
    assert "Package: containerd.io\nPin: version 2.2.3-*\n" in pin
    assert programs.ran("apt-get", "install", "containerd.io=2.2.3-*")
    assert programs.ran("dpkg", "--set-selections")
    assert changes.sentences[-2:] == ["installed containerd.io 2.2.3", "held containerd.io"]


def test_with_everything_in_place_nothing_is_fetched(
    debian: Path, programs: Programs, openpgp_key: Key
) -> None:
    provide(debian, programs, openpgp_key)
    programs.calls.clear()
    programs.answer("dpkg-query", out="hi \tcontainerd.io\t2.2.3-1~debian.13~trixie\n")

    changes, fetched = provide(debian, programs, openpgp_key)

    assert changes.sentences == []
    assert fetched == []
    assert len(programs.calls) == 1


@pytest.mark.parametrize(
    ("state", "sentences"),
    [
        ("ii \tcontainerd.io\t2.2.3-1\n", ["held containerd.io"]),
        ("hi \tcontainerd.io\t2.2.30-1\n", ["installed containerd.io 2.2.3", "held containerd.io"]),
        ("iF \tcontainerd.io\t2.2.3-1\n", ["installed containerd.io 2.2.3", "held containerd.io"]),
        ("rc \tcontainerd.io\t2.2.3-1\n", ["installed containerd.io 2.2.3", "held containerd.io"]),
    ],
)
def test_only_what_is_missing_is_done(
    debian: Path, programs: Programs, openpgp_key: Key, state: str, sentences: list[str]
) -> None:
    provide(debian, programs, openpgp_key)
    programs.answer("dpkg-query", out=state)

    changes, _ = provide(debian, programs, openpgp_key)

    assert changes.sentences == sentences


def test_a_dependency_of_the_distribution_brings_a_full_update(
    debian: Path, programs: Programs, openpgp_key: Key
) -> None:
    only_ours = "-oDir::Etc::SourceParts=/dev/null"
    programs.answer("install", only_ours, status=100, err="E: unmet dependencies")

    provide(debian, programs, openpgp_key)

    verbs = [
        (("update" in call) and "update") or "install" for call in programs.calls if call[0] == "apt-get"
    ]
    assert verbs == ["update", "install", "update", "install"]
    assert [only_ours in call for call in programs.calls if call[0] == "apt-get"] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("W: GPG error: EXPKEYSIG 234654DA9A296436 isv", "signing|signs the package repository has expired"),
        ("E: Version '9.9.9-*' for 'containerd.io' was not found", "does not have this version"),
        ("E: Could not get lock /var/lib/dpkg/lock", "another package manager is running"),
        ("E: Write error - write (28: No space left on device)", "the disk is full"),
    ],
)
def test_a_failure_says_its_cause_first(
    debian: Path, programs: Programs, openpgp_key: Key, said: str, cause: str
) -> None:
    programs.answer("apt-get", status=100, err=said)

    with pytest.raises(HostError, match=cause) as failure:
        provide(debian, programs, openpgp_key)

    assert said in failure.value.lines
    assert failure.value.command.startswith("apt-get")


def test_an_interrupted_dpkg_is_completed_first(debian: Path, programs: Programs, openpgp_key: Key) -> None:
    (debian / "var/lib/dpkg/updates").mkdir(parents=True)
    (debian / "var/lib/dpkg/updates/0001").touch()

    provide(debian, programs, openpgp_key)

    assert programs.ran("dpkg", "--configure", "-a")


@pytest.mark.parametrize("state", ["unpacked", "half-configured", "half-installed"])
def test_packages_that_lost_their_machine_are_mended(
    debian: Path, programs: Programs, openpgp_key: Key, state: str
) -> None:
    (debian / "var/lib/dpkg").mkdir(parents=True)
    (debian / "var/lib/dpkg/status").write_text(f"Package: kubelet\nStatus: install ok {state}\n")
    programs.answer("dpkg", "--configure", status=1, err="kubelet depends on conntrack, which is not there")

    provide(debian, programs, openpgp_key)

    assert programs.ran("apt-get", "install", "--fix-broken", "--no-remove", "containerd.io=2.2.3-*")


def test_where_nothing_is_broken_nothing_is_mended(
    debian: Path, programs: Programs, openpgp_key: Key
) -> None:
    (debian / "var/lib/dpkg").mkdir(parents=True)
    (debian / "var/lib/dpkg/status").write_text("Package: vim\nStatus: install ok installed\n")

    provide(debian, programs, openpgp_key)

    assert not programs.ran("dpkg", "--configure")
    assert not programs.ran("--fix-broken")


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    """dpkg's own directory, and the process that holds its lock, as apt-get does, until it is told to end."""
    for name in ("updates", "info", "triggers"):
        (tmp_path / name).mkdir()
    for name in ("status", "available"):
        (tmp_path / name).touch()
    hold = (
        "import fcntl, sys; file = open(sys.argv[1], 'w'); fcntl.lockf(file, fcntl.LOCK_EX); "
        "print('held', flush=True); sys.stdin.read()"
    )
    argv = [sys.executable, "-c", hold, str(tmp_path / "lock-frontend")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield tmp_path, process
        process.kill()


def test_dpkg_waits_for_the_package_manager_that_a_killed_run_left_behind(
    locked: tuple[Path, subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, holder = locked
    waits: list[float] = []

    def end_it(seconds: float) -> None:
        waits.append(seconds)
        holder.kill()
        holder.wait()

    # Of this module alone: subprocess sleeps, too.
    monkeypatch.setattr(host, "time", SimpleNamespace(monotonic=time.monotonic, sleep=end_it))
    apt.dpkg("--admindir", str(directory), "--configure", "-a")

    assert waits == [2]


def test_a_package_manager_that_does_not_end_is_named_as_the_cause(
    locked: tuple[Path, subprocess.Popen[bytes]],
) -> None:
    with pytest.raises(HostError, match="dpkg failed: another package manager is running") as failure:
        apt.dpkg("--admindir", str(locked[0]), "--configure", "-a", lock_timeout=0)

    assert any("lock" in line for line in failure.value.lines)


def test_a_dry_run_fetches_only_the_key_and_writes_nothing(
    debian: Path, programs: Programs, openpgp_key: Key
) -> None:
    changes, _ = provide(debian, programs, openpgp_key, dry=True)

    assert not (debian / "etc/apt").exists()
    assert not programs.ran("apt-get")
    assert "installed containerd.io 2.2.3" in changes.sentences
