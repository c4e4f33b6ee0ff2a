"""Every file that is written on a host before kubeadm, for each system, as a golden file to be read in review."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar

from .conftest import PLAYBOOKS, Programs, library

if TYPE_CHECKING:
    from collections.abc import Callable

dnf = library("provision_dnf")
openpgp = library("provision_openpgp")
redhat = library("provision_redhat")
Changes = library("provision_host").Changes

# A key that was made for this test alone.
KEY = b"""\
-----BEGIN PGP PUBLIC KEY BLOCK-----

mDMEaw3eqRYJKwYBBAHaRw8BAQdAJ85ypDU5SqgxjBOut6wwvc4GU9N9mHPsY2HH
2pDmOdy0G2dvbGRlbiA8Z29sZGVuQGV4YW1wbGUub3JnPoiQBBMWCAA4FiEEwG2c
keq9ohyFTwGe6T4jAlA55isFAmsN3qkCGwMFCwkIBwIGFQoJCAsCBBYCAwECHgEC
F4AACgkQ6T4jAlA55itMqAD/bMASmJrCpL2iKnB6kgMCV9xMM/SshUxZp5vryomr
EdMA/3VhmWymd1F9ZTbhmYQBtcZndhmM270GrbWY6RPMD2kN
=yXKI
-----END PGP PUBLIC KEY BLOCK-----
"""
SYSTEMS = {
    "debian-13": "ID=debian\nVERSION_ID=13\nVERSION_CODENAME=trixie\n",
    "ubuntu-24.04": "ID=ubuntu\nID_LIKE=debian\nVERSION_ID=24.04\nVERSION_CODENAME=noble\n",
    "rocky-9": 'ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"\n',
    "rocky-10": 'ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="10.0"\n',
    "fedora": "ID=fedora\nVERSION_ID=43\n",
}
RPM = ("rocky-9", "rocky-10", "fedora")
ROLES = ("containerd", "crio", "docker", "kube_packages")


@pytest.fixture(scope="module", autouse=True)
def plugins() -> None:
    init_plugin_loader()


def rendered(role: str, variables: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Module and parameters of each task of a role, with its templates filled."""
    loader, folder = DataLoader(), PLAYBOOKS / "roles" / role
    known: dict[str, Any] = {"ansible_search_path": [str(folder)], "role_path": str(folder)}
    for part in ("defaults", "vars"):
        known |= loader.load_from_file(str(folder / part / "main.yml"), trusted_as_template=True)
    known |= variables
    found = []
    for task in loader.load_from_file(str(folder / "tasks/main.yml"), trusted_as_template=True):
        module = next(key for key in task if key in {"host_files", "pinned_packages", "release_archive"})
        templar = Templar(loader=loader, variables={**known, **task.get("vars", {})})
        found.append((module, templar.template(task[module])))
    return found


def write_files(root: Path, role: str, variables: dict[str, Any]) -> None:
    """Run the modules of a role below `root`; no program is started."""
    run = Programs()
    for module, parameters in rendered(role, variables):
        if module == "host_files":
            files = [{"mode": "", "owner": "", "block": False, **file} for file in parameters["files"]]
            wanted = {"prune": [], "units": [], **parameters, "files": files}
            library(module).provide(wanted, Changes(), root=root, run=run, pending_directory=root / "run")
        elif module == "pinned_packages":
            for name in ("apt", "dnf"):
                parameters[name] |= {"suite": "/", "components": [], "fingerprint": FINGERPRINT} | parameters[
                    name
                ]
                parameters[name]["fingerprint"] = FINGERPRINT
            wanted = {"lock_timeout": 0, **parameters}
            library(module).provide(wanted, Changes(), root=root, run=run, fetch=lambda _url: KEY)


FINGERPRINT = openpgp.fingerprints(openpgp.dearmor(KEY))[0]


def tree(root: Path, before: set[Path]) -> str:
    """All files that were written: path and text, of keys the fingerprint."""
    text = ""
    for path in sorted({*root.rglob("*")} - before):
        if path.is_file() and path.relative_to(root).parts[0] in {"etc", "usr"}:
            data = path.read_bytes()
            is_key = path.suffix == ".gpg" or "RPM-GPG-KEY" in path.name
            shown = f"key {openpgp.fingerprints(openpgp.dearmor(data))[0]}\n" if is_key else data.decode()
            text += f"=== {path.relative_to(root)}\n{shown}".replace(str(root), "")
    return text


@pytest.mark.parametrize("system", SYSTEMS)
def test_files_that_are_written_on_a_host(
    system: str, root: Path, monkeypatch: pytest.MonkeyPatch, golden: Callable[[str, str], None]
) -> None:
    machine = os.uname_result(("Linux", "w1", "6.12.0", "#1", "x86_64"))
    monkeypatch.setattr(os, "uname", lambda: machine)
    for module in (dnf, redhat):
        monkeypatch.setattr(module, "query", lambda _root, _names: {})
    (root / "etc/os-release").write_text(SYSTEMS[system], encoding="utf-8")
    for name in ("overlay", "br_netfilter", "nf_conntrack"):
        (root / "sys/module" / name).mkdir()
    for name in ("bridge-nf-call-iptables", "bridge-nf-call-ip6tables"):
        (root / "proc/sys/net/bridge").mkdir(parents=True, exist_ok=True)
        (root / "proc/sys/net/bridge" / name).write_text("1\n", encoding="utf-8")
    if system in RPM:
        (root / "etc/NetworkManager/conf.d").mkdir(parents=True)
        (root / "sys/fs/selinux").mkdir(parents=True)
        (root / "sys/fs/selinux/enforce").write_text("1", encoding="utf-8")
    before = {*root.rglob("*")}

    defaults = yaml.safe_load(
        (PLAYBOOKS / "roles/host_prepare/defaults/main.yml").read_text(encoding="utf-8")
    )
    wanted = {name.removeprefix("host_prepare_"): value for name, value in defaults.items()}
    library("host_prepare").prepare(wanted, Changes(), root=root, run=Programs())
    for role in ROLES:
        mirrors = {f"{role}_mirrors": {"quay.io": "https://mirror:5000/v2/quay.io"}}
        selinux = {f"{role}_selinux": system in RPM}
        write_files(root, role, {**mirrors, **selinux})

    golden(f"systems/{system}.txt", tree(root, before))
