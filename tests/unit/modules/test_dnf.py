"""dnf and rpm for real, below a directory of their own: pinned packages, keys, interruptions, removal."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from provision.errors import ProvisionError
from provision.mirror import signing

from . import rpm_host
from .conftest import Programs, library

if TYPE_CHECKING:
    from collections.abc import Iterator

pinned_packages = library("pinned_packages")
packages = library("provision_packages")
dnf = library("provision_dnf")
host = library("provision_host")
openpgp = library("provision_openpgp")
rpm = library("provision_rpm")
software = library("provision_software")
Record = library("provision_record").Record
Changes, HostError = host.Changes, host.HostError


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which rpm keeps its database where the RHEL family does."""
    try:
        rpm_host.require_tools()
    except ProvisionError as error:
        pytest.skip(f"{error.message}: {error.fix}")
    directory = tmp_path_factory.mktemp("home")
    (directory / ".rpmmacros").write_text("%_dbpath /var/lib/rpm\n", encoding="utf-8")
    return {**os.environ, "HOME": str(directory)}


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory, home: dict[str, str]) -> signing.SigningKey:  # noqa: ARG001 - tools
    return signing.create_key(tmp_path_factory.mktemp("key"), "lab <lab@example.org>")


@pytest.fixture(scope="module")
def repository(key: signing.SigningKey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a signed repository with its key."""
    directory = tmp_path_factory.mktemp("repository")
    rpm_host.build(directory, key)
    shutil.copyfile(key.public, directory / "served/key")
    yield from rpm_host.served(directory / "served")


@pytest.fixture(scope="module")
def system(home: dict[str, str], repository: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A host with nothing but the package that says which release it is; tests copy it."""
    root = tmp_path_factory.mktemp("system")
    (root / "etc").mkdir()
    (root / "etc/os-release").write_text(rpm_host.ROCKY, encoding="utf-8")
    argv = ["dnf", f"--installroot={root}", "--assumeyes", f"--repofrompath=distribution,{repository}"]
    argv += ["--nogpgcheck", "--releasever=9", "--repo=distribution", "install", "rocky-release"]
    subprocess.run(argv, check=True, capture_output=True, env=home)
    return root


@pytest.fixture
def root(system: Path, home: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", home["HOME"])
    return Path(shutil.copytree(system, tmp_path / "host", symlinks=True))


def wanted(url: str, fingerprint: str = "", **versions: str) -> dict[str, Any]:
    source = {"url": url, "key_url": f"{url}/key", "fingerprint": fingerprint, "suite": "/", "components": []}
    versions = versions or {"kubelet": "1.36.5"}
    return {"name": "kubernetes", "apt": {}, "dnf": source, "packages": versions, "lock_timeout": 0}


def provide(root: Path, url: str, **versions: str) -> Any:
    key = openpgp.dearmor(pinned_packages.fetch_key(f"{url}/key"))
    changes = Changes(record=Record("files", root=root))
    pinned_packages.provide(wanted(url, openpgp.fingerprints(key)[0], **versions), changes, root=root)
    return changes


def present(root: Path) -> dict[str, str]:
    """Name -> version of the installed packages."""
    argv = ["rpm", "--root", str(root), "-qa", "--qf", "%{NAME} %{VERSION}\\n"]
    return dict(
        line.split()
        for line in subprocess.run(argv, check=True, capture_output=True, text=True).stdout.splitlines()
    )


def test_pinned_versions_stay_are_replaced_and_leave_with_what_came_along(
    root: Path, repository: str
) -> None:
    own = wanted(repository, fingerprint(repository), ethtool="5:6")  # the epoch is that of Debian's package
    pinned_packages.provide({**own, "name": "own"}, Changes(), root=root)
    (root / "etc/yum.repos.d/provision-own.repo").unlink()  # it has kubelet too, and excludes only ethtool
    changes = provide(root, repository)
    assert changes.sentences[-2:] == ["installed kubelet 1.36.5", "held kubelet"]
    assert provide(root, repository).sentences == []
    assert provide(root, repository, kubelet="1.36.*").sentences[-1:] == []  # 1.36.5 is one of these

    dnf_for(root, "upgrade")
    dnf_for(root, "install", "mesh")
    found = present(root)
    assert (found["kubelet"], found["conntrack-tools"], found["ethtool"]) == ("1.36.5", "1.4.7", "6")
    facts: Any = software.software(str(root))
    assert facts["packages"] == {"kubelet": {"version": "0:1.36.5-150500.1.1", "held": True, "whole": True}}
    assert facts["package_database"] == {"broken": [], "locked_by": ""}

    provide(root, repository, kubelet="1.36.6")
    assert present(root)["kubelet"] == "1.36.6"

    record = Record("files", root=root)
    assert packages.leaving(record, root) == {"kubelet"}
    assert packages.ours(record, root) == ["kubelet"]  # mesh needs the other one, ethtool was there before
    subprocess.run(["rpm", "--root", str(root), "--erase", "mesh"], check=True)
    assert packages.ours(record, root) == ["conntrack-tools", "kubelet"]
    changes = Changes()
    packages.remove(changes, record, root=root)
    assert changes.sentences[0] == "removed the packages conntrack-tools, kubelet"
    assert present(root).keys() == {"ethtool", "rocky-release", "gpg-pubkey"}
    assert not list((root / "var/cache/dnf").glob("provision-kubernetes*"))


def dnf_for(root: Path, *arguments: str) -> None:
    argv = ["dnf", f"--installroot={root}", "--assumeyes", *arguments]
    subprocess.run(argv, check=True, capture_output=True)


def fingerprint(url: str) -> str:
    return str(openpgp.fingerprints(openpgp.dearmor(pinned_packages.fetch_key(f"{url}/key")))[0])


def keys(root: Path) -> list[str]:
    argv = ["rpm", "--root", str(root), "-q", "gpg-pubkey"]
    return subprocess.run(argv, check=False, capture_output=True, text=True).stdout.split("\n")[:-1]


def renewed_copy(key: signing.SigningKey) -> bytes:
    """The key with another end, as its owner publishes it after some years."""
    with signing.keyring(key) as home:
        gpg = ["gpg", "--homedir", str(home), "--batch", "--pinentry-mode=loopback", "--passphrase="]
        subprocess.run([*gpg, "--quick-set-expire", key.fingerprint, "5y"], check=True, capture_output=True)
        return subprocess.run([*gpg, "--armor", "--export"], check=True, capture_output=True).stdout


def test_a_key_that_was_renewed_under_its_id_replaces_the_one_that_rpm_has(
    root: Path, repository: str, key: signing.SigningKey, tmp_path: Path
) -> None:
    subprocess.run(["rpmkeys", "--root", str(root), "--import", str(key.public)], check=True)
    (had,) = keys(root)
    renewed = renewed_copy(key)
    fetch = {"fetch": lambda _url: renewed}
    parameters = wanted(repository, fingerprint(repository))
    # rpm itself takes the new one for the old one, without a word.
    new = tmp_path / "new"
    new.write_bytes(renewed)
    subprocess.run(["rpmkeys", "--root", str(root), "--import", str(new)], check=True)
    assert _armor(root) != openpgp.dearmor(renewed)

    changes = Changes(record=Record("files", root=root))
    pinned_packages.provide(parameters, changes, root=root, **fetch)

    assert f"replaced rpm's older copy of the key {fingerprint(repository)}" in changes.sentences
    assert keys(root) == [had]
    assert _armor(root) == openpgp.dearmor(renewed)
    record = Record("files", root=root)
    dnf.forget_keys(Changes(), record, root=root)
    assert keys(root) == [had]  # rpm had it before
    record = Record("others", root=root)
    record.note("rpm keys", fingerprint(repository), was=False)
    dnf.forget_keys(Changes(), record, root=root)
    assert keys(root) == ["package gpg-pubkey is not installed"]


def _armor(root: Path) -> bytes:
    argv = ["rpm", "--root", str(root), "-q", "--qf", "%{DESCRIPTION}", "gpg-pubkey"]
    return bytes(openpgp.dearmor(subprocess.run(argv, check=True, capture_output=True).stdout))


def test_packages_that_another_key_has_signed_are_refused(
    root: Path, repository: str, openpgp_key: tuple[bytes, bytes, str]
) -> None:
    parameters = wanted(repository, openpgp_key[2])
    with pytest.raises(HostError, match="not signed with the expected key"):
        pinned_packages.provide(parameters, Changes(), root=root, fetch=lambda _url: openpgp_key[1])

    assert "kubelet" not in present(root)


@pytest.mark.parametrize(
    ("said", "cause"),
    [  # by dnf 4.14
        ("Error: Unable to find a match: kubelet-1.99.0-*", r"no enabled repository has kubelet-1.99.0-\*"),
        (
            "Error: \n Problem: conflicting requests\n  - nothing provides nowhere needed by lonely-1-1.noarch",
            "no enabled repository has nowhere, which is needed",
        ),
        (
            "  - package clash-1-1.noarch conflicts with conntrack-tools provided by",
            "it conflicts with packages",
        ),
        (
            "Error: Failed to download metadata for repo 'x': Cannot download repomd.xml",
            "index cannot be fetched",
        ),
    ],
)
def test_a_failure_says_its_cause_first(tmp_path: Path, said: str, cause: str) -> None:
    programs = Programs()
    programs.answer("dnf", status=1, err=said)
    with pytest.raises(HostError, match=cause) as failure:
        dnf.install_own(["kubelet"], root=tmp_path, run=programs)

    assert failure.value.command.startswith("dnf")
    assert said.splitlines()[-1] in failure.value.lines


def test_a_package_whose_transaction_was_killed_is_installed_again(root: Path, repository: str) -> None:
    provide(root, repository, ethtool="6")  # the repository's file and key
    argv = ["dnf", f"--installroot={root}", "--assumeyes", "install", "slow"]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as process:
        while "slow" not in present(root):
            assert process.poll() is None
            time.sleep(0.1)
        locked = rpm.database(str(root), [])["package_database"]["locked_by"]
        assert rpm.database(str(root), ["slow"])["package_database"]["broken"] == []  # it is being installed
        process.kill()
    assert f"(pid {process.pid})" in locked

    assert rpm.database(str(root), ["slow"])["packages"]["slow"]["whole"] is False
    assert dnf.installed(["slow"], root=root) == {}
    ran = Programs()
    dnf.install({"slow": "1"}, "kubernetes", root=root, run=ran)
    assert ran.ran("dnf", "reinstall", "slow-1-*")
    dnf_for(root, "reinstall", "rocky-release")
    assert rpm.database(str(root), ["slow"])["package_database"]["broken"] == []


def test_the_older_one_of_two_versions_is_erased_first(root: Path, repository: str, tmp_path: Path) -> None:
    provide(root, repository)
    name = "noarch/kubelet-1.36.6-150500.1.1.noarch.rpm"
    file = tmp_path / "kubelet.rpm"
    file.write_bytes(host_bytes(f"{repository}/{name}"))
    force = ["--install", "--replacefiles", "--force-debian", "--justdb"]
    subprocess.run(["rpm", "--root", str(root), *force, str(file)], check=True, capture_output=True)
    assert rpm.database(str(root), ["kubelet"])["package_database"]["broken"] == ["kubelet"]

    provide(root, repository, kubelet="1.36.6")

    facts = rpm.database(str(root), ["kubelet"])
    assert facts["packages"]["kubelet"] == {"version": "0:1.36.6-150500.1.1", "held": True, "whole": True}
    assert facts["package_database"]["broken"] == []


def host_bytes(url: str) -> bytes:
    return bytes(library("provision_download").fetched(url, "", lambda answer: answer.read(), timeout=5))


def test_a_lock_of_another_transaction_is_waited_for(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    said = "Failed to obtain rpm transaction lock. Another transaction is in progress."
    programs, waits = Programs(), []
    programs.answer("dnf", status=1, err=said)

    def other_one_ends(seconds: float) -> None:
        waits.append(seconds)
        programs.answers.clear()

    monkeypatch.setattr(
        host, "time", type("time", (), {"monotonic": time.monotonic, "sleep": other_one_ends})
    )
    dnf.install_own(["ethtool"], root=root, run=programs)

    assert waits == [2]


def test_an_unfinished_transaction_of_dnf_5_is_known_by_its_history(root: Path) -> None:
    import sqlite3  # noqa: PLC0415 - only here

    path = root / "usr/lib/sysimage/libdnf5/transaction_history.sqlite"
    path.parent.mkdir(parents=True)
    with sqlite3.connect(path) as history:  # the tables of dnf 5, as far as they are read
        history.executescript(
            "create table trans_state (id, name); insert into trans_state values (1, 'Started'), (2, 'Ok');"
            "create table trans (id, state_id); insert into trans values (1, 2), (2, 1);"
            "create table pkg_name (id, name); insert into pkg_name values (1, 'old'), (2, 'kubelet');"
            "create table rpm (item_id, name_id); insert into rpm values (10, 1), (20, 2);"
            "create table trans_item (trans_id, item_id); insert into trans_item values (1, 10), (2, 20);"
        )
    assert rpm.database(str(root), [])["package_database"]["broken"] == ["kubelet"]
    with sqlite3.connect(path) as history:
        history.execute("update trans set state_id = 2 where id = 2")
    assert rpm.database(str(root), [])["package_database"]["broken"] == []


@pytest.mark.parametrize(
    ("release", "path"),
    [
        ('ID="rhel"\nVERSION_ID="9.4"', "rhel/9/x86_64"),
        ('ID="rocky"\nVERSION_ID="10.0"', "rhel/10/aarch64"),
        ('ID="almalinux"\nVERSION_ID="9.6"', "rhel/9/x86_64"),
        ('ID="ol"\nVERSION_ID="9.6"', "rhel/9/x86_64"),
        ('ID="centos"\nVERSION_ID="10"', "centos/10/aarch64"),
        ('ID="fedora"\nVERSION_ID="43"', "fedora/43/x86_64"),
        ('ID="openEuler"\nVERSION_ID="24.03"', "rhel/9/x86_64"),
    ],
)
def test_the_repository_is_that_of_distribution_release_and_architecture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, openpgp_key: Any, release: str, path: str
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text(release, encoding="utf-8")
    machine = os.uname_result(("Linux", "w1", "6.12.0", "#1", path.rpartition("/")[2]))
    monkeypatch.setattr(os, "uname", lambda: machine)
    source = {
        "url": "https://example.org/linux/{distribution}/{major}/{architecture}/stable",
        "key_url": "https://example.org/linux/{distribution}/gpg",
        "fingerprint": openpgp_key[2],
    }
    asked: list[str] = []
    fetch = functools.partial(_answer, asked, openpgp_key[1])

    dnf.add_repository("docker", source, ["b", "a"], Changes(), root=tmp_path, run=Programs(), fetch=fetch)

    assert asked == [f"https://example.org/linux/{path.partition('/')[0]}/gpg"]
    text = (tmp_path / "etc/yum.repos.d/provision-docker.repo").read_text(encoding="utf-8")
    assert f"\nbaseurl=https://example.org/linux/{path}/stable\n" in text
    assert f"\ngpgcheck=1\ngpgkey=file://{tmp_path}/etc/pki/rpm-gpg/RPM-GPG-KEY-provision-docker\n" in text
    assert text.endswith("\nexclude=a b\n")


def _answer(asked: list[str], key: bytes, url: str) -> bytes:
    asked.append(url)
    return key


def test_an_architecture_without_packages_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "w1", "6.12.0", "#1", "riscv64")))
    source = {"url": "https://example.org", "key_url": "https://example.org/key", "fingerprint": ""}
    with pytest.raises(HostError, match="no packages for the architecture riscv64"):
        dnf.add_repository("x", source, [], Changes(), root=tmp_path, run=Programs(), fetch=lambda _url: b"")
