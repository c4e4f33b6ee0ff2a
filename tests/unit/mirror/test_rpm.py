"""Packages of rpm and a signed repository, made without a lab and read by the real rpm and dnf."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provision.errors import ProvisionError, ToolError
from provision.lab.toolchain import require_packages
from provision.mirror import rpm, signing
from provision.mirror.rpm import Rpm
from provision.mirror.tools import run

if TYPE_CHECKING:
    from provision.mirror.signing import SigningKey

QUERY = ("rpm", "--query", "--nosignature", "--package")
SPEC = "Summary: a tool\nRequires: shell >= 5\n%description\nA tool.\n"


@pytest.fixture(scope="session", autouse=True)
def tools() -> None:
    try:
        require_packages((*rpm.TOOLS, *signing.TOOLS, "dnf"), print)
    except ProvisionError as error:
        pytest.skip(f"{error.message}: {error.fix}")


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    return signing.create_key(tmp_path_factory.mktemp("key"), "me <me@example.org>")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, key: SigningKey) -> Path:
    """A repository with `tool`, which has a unit and a setting, and `shell`, which it needs."""
    place = tmp_path_factory.mktemp("rpm")
    program, definition = place / "program", place / "definition"
    program.write_text("#!/bin/sh\necho a tool\n")
    for path, text in {
        "etc/default/tool": "SETTINGS=\n",
        "usr/lib/systemd/system/tool.service": "[Service]\nEnvironmentFile=/etc/default/tool\n",
        "var/lib/tool/.keep": "",
        "DEBIAN/control": "of the other format\n",
    }.items():
        (definition / path).parent.mkdir(parents=True, exist_ok=True)
        (definition / path).write_text(text)
    root, renamed = place / "repository", {"/etc/default": "/etc/sysconfig"}
    tool = Rpm("tool", "3:1.0-2.el9", SPEC, {"/usr/bin/tool": program}, renamed=renamed)
    shell = Rpm("shell", "5.1-1", "Summary: a shell\nProvides: /bin/sh\n%description\nNothing.\n")
    rpm.build_rpm(tool, definition, "x86_64", root / "x86_64")
    rpm.build_rpm(shell, None, "x86_64", root / "x86_64")
    rpm.write_repository(root, key)
    return root


def dnf(home: Path, repository: Path, key: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run dnf with that repository alone on a system in `home`; both signatures are checked."""
    home.mkdir(exist_ok=True)
    (home / "test.repo").write_text(
        f"[test]\nname=test\nbaseurl=file://{repository}\ngpgcheck=1\nrepo_gpgcheck=1\ngpgkey=file://{key}\n"
    )
    settings = {"reposdir": home, "cachedir": home / "cache", "logdir": home, "persistdir": home / "state"}
    options = [f"--setopt={name}={value}" for name, value in settings.items()]
    argv = [
        "dnf",
        "--assumeyes",
        "--quiet",
        f"--installroot={home / 'root'}",
        "--releasever=9",
        *options,
        *command,
    ]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def test_dnf_installs_a_package_of_the_signed_repository_with_what_it_needs(
    tmp_path: Path, repository: Path
) -> None:
    key, root = repository / "repodata/repomd.xml.key", tmp_path / "root"

    done = dnf(tmp_path, repository, key, "install", "tool")

    assert done.returncode == 0, done.stderr
    assert (root / "usr/bin/tool").read_text() == "#!/bin/sh\necho a tool\n"
    assert (root / "etc/sysconfig/tool").read_text() == "SETTINGS=\n"
    unit = (root / "usr/lib/systemd/system/tool.service").read_text()
    assert unit == "[Service]\nEnvironmentFile=/etc/sysconfig/tool\n"
    assert not (root / "DEBIAN").exists()


def test_dnf_refuses_a_repository_signed_by_another_key(tmp_path: Path, repository: Path) -> None:
    private = tmp_path / "other"
    private.mkdir()
    other = signing.create_key(private, "else <else@example.org>")

    done = dnf(tmp_path / "system", repository, other.public, "install", "tool")

    assert done.returncode != 0
    assert "Unable to find a match: tool" in done.stderr
    assert not (tmp_path / "system/root/usr/bin/tool").exists()


def test_rpm_verifies_every_package_with_the_published_key_and_none_without_it(
    tmp_path: Path, repository: Path
) -> None:
    packages = sorted(str(path) for path in repository.rglob("*.rpm"))
    database = ["--dbpath", str(tmp_path)]
    run(["rpmkeys", *database, "--import", str(repository / "repodata/repomd.xml.key")])

    assert run(["rpmkeys", *database, "--checksig", *packages]).count("digests signatures OK") == 2
    with pytest.raises(ToolError):
        run(["rpmkeys", "--dbpath", str(tmp_path / "empty"), "--checksig", *packages])


def test_a_package_has_the_modes_configuration_and_directories_that_its_files_need(repository: Path) -> None:
    package = str(repository / "x86_64" / "tool-1.0-2.el9.x86_64.rpm")

    shown = "%{=NEVRA} [%{FILEMODES:octal} %{FILEUSERNAME} %{FILENAMES}\n]"
    listed = run([*QUERY, "--queryformat", shown, package])
    configuration = run([*QUERY, "--configfiles", package]).split()

    files = [line.split()[-3:] for line in listed.splitlines()]
    assert [(int(mode, 8), owner, name) for mode, owner, name in files] == [
        (0o100644, "root", "/etc/sysconfig/tool"),
        (0o100755, "root", "/usr/bin/tool"),
        (0o100644, "root", "/usr/lib/systemd/system/tool.service"),
        (0o40755, "root", "/var/lib/tool"),
        (0o100644, "root", "/var/lib/tool/.keep"),
    ]
    assert listed.startswith("tool-3:1.0-2.el9.x86_64 ")
    assert configuration == ["/etc/sysconfig/tool"]


def test_a_removed_package_stops_its_units_and_an_upgrade_restarts_those_that_run(repository: Path) -> None:
    package = str(repository / "x86_64" / "tool-1.0-2.el9.x86_64.rpm")
    scripts = run([*QUERY, "--scripts", package])

    assert (
        "[ $1 -eq 0 ] && [ -d /run/systemd/system ]; then systemctl --no-reload disable --now tool.service"
        in scripts
    )
    assert "[ $1 -ge 1 ]; then systemctl try-restart tool.service" in scripts
    assert "enable --now" not in scripts


def test_a_spec_that_rpm_does_not_understand_is_an_error_with_its_last_lines(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="rpmbuild failed") as caught:
        rpm.build_rpm(Rpm("tool", "1-1", "Sumary: a tool\n"), None, "x86_64", tmp_path)

    assert any("Sumary" in line for line in caught.value.detail)
