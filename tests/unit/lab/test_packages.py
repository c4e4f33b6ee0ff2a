"""The lab's package repositories, read by the real apt. Only the Go programs in them are doubles: they take minutes."""

from __future__ import annotations

import shutil
import stat
import subprocess
import threading
import tomllib
from collections.abc import Iterable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provision.errors import ProvisionError
from provision.lab import debian, packages
from provision.lab.binaries import _groups
from provision.lab.machines import disk
from provision.lab.toolchain import require_packages
from provision.lab.versions import choose_offer, lab_versions, runtime_names
from provision.mirror import apt as apt_writer, rpm as rpm_writer, signing
from provision.mirror.tools import run

if TYPE_CHECKING:
    from provision.lab.packages import Packages

KUBERNETES = "core:/stable:/v1.36/deb"
CRIO = "repositories/isv:/cri-o:/stable:/v1.36/deb"
DOCKER = "linux/debian"
OFFER = choose_offer((), ())
EVERYTHING = choose_offer(lab_versions().kubernetes.minors, runtime_names(), systems=("debian-13", "rocky-9"))


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the parameter's name is inherited
        """Say nothing: requests are not what these tests show."""


@pytest.fixture(scope="session", autouse=True)
def tools() -> None:
    try:
        require_packages((*apt_writer.TOOLS, *rpm_writer.TOOLS, *signing.TOOLS), print)
    except ProvisionError as error:
        pytest.skip(f"{error.message}: {error.fix}")


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Packages:
    """The repositories of a new lab, in a cache of their own, with tiny programs."""
    stand_in(monkeypatch, tmp_path)
    return packages.build_packages(OFFER, print)


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    """The repositories of a lab that offers all that can be built."""
    with pytest.MonkeyPatch.context() as patch:
        stand_in(patch, tmp_path_factory.mktemp("everything"))
        return packages.build_packages(EVERYTHING, print)


def stand_in(patch: pytest.MonkeyPatch, place: Path) -> None:
    """Replace the programs by tiny ones, and the cache by one of its own."""

    def build_binaries(group: str, _: object) -> Path:
        one = _groups()[group]
        return write_programs(place / "binaries" / f"{group}-0123", (*one.programs, *one.c_programs))

    def programs_of(name: str, _: object) -> dict[str, Path]:
        source = debian._SOURCES[name]
        names = (*source.programs, *(f"lib/{one}" for one in source.libraries))
        directory = write_programs(place / "debian" / f"{name}-0123", names)
        return {one: directory / one for one in names}

    patch.setenv("PROVISION_CACHE", str(place / "cache"))
    patch.setattr(packages, "TOOLS", ())
    patch.setattr(packages, "build_binaries", build_binaries)
    patch.setattr(packages, "programs_of", programs_of)


def write_programs(directory: Path, names: Iterable[str]) -> Path:
    for name in names:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(f"#!/bin/sh\necho {name}\n")
    return directory


@pytest.fixture
def base_url(built: Packages) -> Iterator[str]:
    handler = partial(Quiet, directory=str(built.directory))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def apt(home: Path, sources: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Run apt with that source list in directories of its own, so that this computer's are not touched."""
    for name in ("lists/partial", "archives/partial", "parts", "preferences"):
        (home / name).mkdir(parents=True, exist_ok=True)
    (home / "status").touch()
    (home / "lab.sources").write_text(sources)
    options = {
        "Dir::Etc::SourceList": home / "lab.sources",
        "Dir::Etc::SourceParts": home / "parts",
        "Dir::Etc::Preferences": home / "none",
        "Dir::Etc::PreferencesParts": home / "preferences",
        "Dir::State::Lists": home / "lists",
        "Dir::State::Status": home / "status",
        "Dir::Cache": home,
        "APT::Sandbox::User": "root",
        "APT::Architecture": "amd64",
        "APT::Architectures": "amd64",
        "Acquire::Languages": "none",
        "Acquire::http::Proxy::127.0.0.1": "DIRECT",
    }
    argv = [command[0], *(f"-o{name}={value}" for name, value in options.items()), *command[1:]]
    return subprocess.run(
        argv, capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
    )


def sources(base_url: str, kubernetes_key: Path, docker_key: Path) -> str:
    return (
        f"Types: deb\nURIs: {base_url}/{KUBERNETES}/\nSuites: /\nSigned-By: {kubernetes_key}\n\n"
        f"Types: deb\nURIs: {base_url}/{DOCKER}\nSuites: trixie\nComponents: stable\nSigned-By: {docker_key}\n"
    )


def test_apt_accepts_both_repositories_with_the_published_keys_and_finds_the_public_versions(
    built: Packages, base_url: str, tmp_path: Path
) -> None:
    keys = (built.directory / KUBERNETES / "Release.key", built.directory / DOCKER / "gpg")
    home = tmp_path / "apt"
    listed = sources(base_url, *keys)

    update = apt(home, listed, "apt-get", "update", "--error-on=any")
    found = apt(home, listed, "apt-cache", "madison", "kubeadm", "kubelet", "kubectl", "cri-tools",
                "kubernetes-cni", "containerd.io").stdout  # fmt: skip

    assert update.returncode == 0, update.stderr
    rows = [[cell.strip() for cell in line.split("|")[:2]] for line in found.splitlines()]
    assert rows == [
        ["kubeadm", "1.36.3-1.1"],
        ["kubelet", "1.36.3-1.1"],
        ["kubectl", "1.36.3-1.1"],
        ["cri-tools", "1.36.0-1.1"],
        ["kubernetes-cni", "1.9.1-1.1"],
        ["containerd.io", "2.3.7-1~debian.13~trixie"],
    ]


def test_apt_downloads_a_package_whose_checksum_is_the_signed_one(
    built: Packages, base_url: str, tmp_path: Path
) -> None:
    keys = (built.directory / KUBERNETES / "Release.key", built.directory / DOCKER / "gpg")
    home = tmp_path / "apt"
    listed = sources(base_url, *keys)
    apt(home, listed, "apt-get", "update")

    fetched = apt(home, listed, "apt-get", "install", "--yes", "--download-only", "--no-install-recommends",
                  "kubernetes-cni", "kubectl=1.36.3-1.1")  # fmt: skip

    assert fetched.returncode == 0, fetched.stderr
    names = sorted(path.name for path in (home / "archives").glob("*.deb"))
    assert names == ["kubectl_1.36.3-1.1_amd64.deb", "kubernetes-cni_1.9.1-1.1_amd64.deb"]


def test_apt_refuses_a_repository_signed_by_another_key(
    built: Packages, base_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVISION_CACHE", str(tmp_path / "other"))
    other = packages.ensure_signing_key(print)

    update = apt(
        tmp_path / "apt", sources(base_url, other.public, other.public), "apt-get", "update", "--error-on=any"
    )

    assert other.fingerprint != built.fingerprint
    assert update.returncode != 0
    assert f"NO_PUBKEY {built.fingerprint[-16:]}" in update.stderr


def test_both_published_keys_have_the_announced_fingerprint(built: Packages, tmp_path: Path) -> None:
    for key in (f"{KUBERNETES}/Release.key", f"{DOCKER}/gpg"):
        home = tmp_path / key.replace("/", "-")
        home.mkdir(mode=0o700)
        shown = run(
            ["gpg", "--homedir", str(home), "--show-keys", "--with-colons", str(built.directory / key)]
        )
        found = [line.split(":")[9] for line in shown.splitlines() if line.startswith("fpr:")]
        assert found == [built.fingerprint]


def test_the_secret_key_is_readable_by_its_owner_only_and_not_served(built: Packages) -> None:
    key = packages.ensure_signing_key(print)

    assert stat.S_IMODE(key.directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(key.secret.stat().st_mode) == 0o600
    served = [path for path in built.directory.rglob("*") if path.is_file() and path.suffix != ".deb"]
    assert not [path for path in served if b"PRIVATE KEY" in path.read_bytes()]


def test_a_second_call_builds_nothing(built: Packages) -> None:
    said: list[str] = []

    again = packages.build_packages(OFFER, said.append)

    assert again == built
    assert said == []


def test_a_changed_unit_file_makes_new_repositories_with_the_same_key(
    built: Packages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = tmp_path / "definitions"
    shutil.copytree(packages._definitions(), changed)
    with (changed / "kubelet/usr/lib/systemd/system/kubelet.service").open("a") as unit:
        unit.write("# changed\n")
    monkeypatch.setattr(packages, "_definitions", lambda: changed)

    again = packages.build_packages(OFFER, print)

    assert again.directory != built.directory
    assert again.fingerprint == built.fingerprint


def test_packages_belong_to_root_and_only_programs_and_scripts_are_executable(everything: Packages) -> None:
    allowed = ("/usr/bin/", "/usr/libexec/crio/", "/opt/cni/bin/")
    debs = sorted(everything.directory.rglob("*.deb"))
    for deb in debs:
        for line in run(["dpkg-deb", "--contents", str(deb)]).splitlines():
            mode, owner, *_, path = line.split()
            assert owner == "root/root", line
            executable = mode == "-rwxr-xr-x"
            assert mode in {"drwxr-xr-x", "-rwxr-xr-x", "-rw-r--r--"}, line
            assert not mode.startswith("-") or executable == path.lstrip(".").startswith(allowed), line
    # Five of each minor, one CRI-O, two containerd, three of Docker.
    assert len(debs) == 5 * len(EVERYTHING.minors) + 1 + 2 + 3


def test_every_definition_is_of_a_package_that_is_built_and_leaves_no_placeholder(
    everything: Packages,
) -> None:
    debs = sorted(everything.directory.rglob("*.deb"))
    controls = {run(["dpkg-deb", "--field", str(deb), "Package"]).strip(): deb for deb in debs}

    assert sorted(controls) == sorted(path.name for path in packages._definitions().iterdir())
    for deb in debs:
        fields = run(["dpkg-deb", "--field", str(deb)])
        assert "@" not in fields.replace("lab@provision.invalid", "")
        assert int(run(["dpkg-deb", "--field", str(deb), "Installed-Size"])) > 0


def test_a_lab_has_just_the_repositories_of_what_it_offers(built: Packages) -> None:
    crio = packages.build_packages(choose_offer((), ("crio",)), print)

    assert repositories(built.directory) == [KUBERNETES, f"{DOCKER}/dists/trixie"]
    assert repositories(crio.directory) == [KUBERNETES, CRIO]


def test_every_minor_and_every_runtime_has_the_public_path_and_version(everything: Packages) -> None:
    found = {
        f"{path}: {stanza['Package']} {stanza['Version']}"
        for path in repositories(everything.directory)
        for stanza in stanzas(everything.directory / path)
    }

    assert repositories(everything.directory) == [
        *(f"core:/stable:/v{minor}/deb" for minor in ("1.34", "1.35", "1.36", "1.37")),
        f"{DOCKER}/dists/trixie",
        CRIO,
    ]
    assert found >= {
        "core:/stable:/v1.34/deb: kubelet 1.34.4-1.1",
        "core:/stable:/v1.37/deb: kubeadm 1.37.2-1.1",
        f"{CRIO}: cri-o 1.36.3-1.1",
        "linux/debian/dists/trixie: containerd.io 2.2.3-1~debian.13~trixie",
        "linux/debian/dists/trixie: containerd.io 2.3.7-1~debian.13~trixie",
        "linux/debian/dists/trixie: docker-ce 5:26.1.5-1~debian.13~trixie",
        "linux/debian/dists/trixie: docker-ce-cli 5:26.1.5-1~debian.13~trixie",
        "linux/debian/dists/trixie: cri-dockerd 0.4.0-1~debian.13~trixie",
    }


def test_the_same_packages_are_served_for_dnf_under_the_public_paths(everything: Packages) -> None:
    debs = {path.name.partition("_")[0] for path in everything.directory.rglob("*.deb")}
    found = {
        run(
            [
                "rpm",
                "--query",
                "--nosignature",
                "--package",
                "--queryformat",
                f"{path} %{{NEVRA}}",
                str(package),
            ]
        )
        for path, place in everything.rpms.items()
        for package in place.rglob("*.rpm")
    }

    assert {row.split()[1].rpartition("-")[0].rpartition("-")[0] for row in found} == debs
    assert found >= {
        "/core:/stable:/v1.34/rpm/ kubelet-1.34.4-150500.1.1.x86_64",
        f"/{CRIO.removesuffix('deb')}rpm/ cri-o-1.36.3-150500.1.1.x86_64",
        "/linux/centos/ containerd.io-2.2.3-1.el9.x86_64",
        "/linux/rhel/ docker-ce-3:26.1.5-1.el9.x86_64",
    }
    for path, place in everything.rpms.items():
        signed = [one.relative_to(place).parts for one in place.rglob("repomd.xml.asc")]
        below = ("9", "x86_64", "stable") if path.startswith("/linux/") else ()
        assert signed == [(*below, "repodata", "repomd.xml.asc")], path
    assert (everything.rpms["/linux/centos/"] / "gpg").read_text().startswith("-----BEGIN PGP PUBLIC KEY")


def test_the_kubelets_variables_are_where_the_family_has_them(everything: Packages) -> None:
    place = everything.rpms["/core:/stable:/v1.36/rpm/"]
    kubelet = next(place.rglob("kubelet-*.rpm"))

    configuration = run(
        ["rpm", "--query", "--nosignature", "--package", "--configfiles", str(kubelet)]
    ).split()

    assert "/etc/sysconfig/kubelet" in configuration
    assert not [path for path in configuration if path.startswith("/etc/default")]


def repositories(root: Path) -> list[str]:
    """The directories that are signed, as paths below the root."""
    return sorted(str(path.parent.relative_to(root)) for path in root.rglob("InRelease"))


def stanzas(repository: Path) -> list[dict[str, str]]:
    text = next(iter(sorted(repository.rglob("Packages")))).read_text()
    return [
        dict(line.split(": ", 1) for line in stanza.splitlines() if not line.startswith(" ") and ": " in line)
        for stanza in text.strip().split("\n\n")
    ]


def test_crio_starts_programs_that_its_package_brings(everything: Packages) -> None:
    deb = next(iter((everything.directory / CRIO).rglob("*.deb")))
    inside = {line.split()[-1].lstrip(".") for line in run(["dpkg-deb", "--contents", str(deb)]).splitlines()}
    drop_in = (packages._definitions() / "cri-o/etc/crio/crio.conf.d/10-crio.conf").read_text()
    config = tomllib.loads(drop_in)["crio"]

    paths = {
        one[key] for one in config["runtime"]["runtimes"].values() for key in ("runtime_path", "monitor_path")
    }
    assert {*paths, config["image"]["signature_policy"], "/usr/bin/crio", "/usr/bin/pinns"} <= inside
    assert config["runtime"]["default_runtime"] in config["runtime"]["runtimes"]
    assert not {
        path for path in inside if path.startswith("/etc/cni/") and path.endswith((".conf", ".conflist"))
    }
    assert {f"/usr/libexec/crio/lib/{name}" for name in debian._SOURCES["crio"].libraries} <= inside
    assert debian._SOURCES["crio"].at == "/usr/libexec/crio"


def test_an_epoch_is_in_the_version_and_not_in_the_name_of_the_file(everything: Packages) -> None:
    names = [path.name for path in everything.directory.rglob("docker-ce_*.deb")]

    assert names == ["docker-ce_26.1.5-1~debian.13~trixie_amd64.deb"]


@pytest.mark.parametrize(
    "unit", sorted(packages._definitions().rglob("*.service")), ids=lambda path: path.name
)
def test_a_unit_starts_a_program_of_its_own_package(unit: Path, everything: Packages) -> None:
    package = unit.relative_to(packages._definitions()).parts[0]
    deb = next(iter(everything.directory.rglob(f"{package}_*.deb")))
    inside = run(["dpkg-deb", "--contents", str(deb)])
    started = next(line for line in unit.read_text().splitlines() if line.startswith("ExecStart="))

    assert f".{started.removeprefix('ExecStart=').split()[0]}\n" in inside


def test_the_kubelet_reads_what_kubeadm_writes_and_the_administrators_arguments_win() -> None:
    path = "kubeadm/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf"
    lines = (packages._definitions() / path).read_text().splitlines()
    files = [line.partition("=-")[2] for line in lines if line.startswith("EnvironmentFile=")]
    start = [line for line in lines if line.startswith("ExecStart=")]

    assert files == ["/var/lib/kubelet/kubeadm-flags.env", "/etc/default/kubelet"]
    assert start[0] == "ExecStart="  # replaces the one of kubelet.service
    assert start[1].split()[-2:] == ["$KUBELET_KUBEADM_ARGS", "$KUBELET_EXTRA_ARGS"]


def test_the_packages_are_for_the_release_that_the_machines_run() -> None:
    assert debian.SUITE == disk._SUITE
