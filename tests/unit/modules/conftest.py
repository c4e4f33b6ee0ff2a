"""Modules are tested as plain functions: their files are made importable the way Ansible does it on a host."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ansible.module_utils
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PLAYBOOKS = Path(__file__).parents[3] / "playbooks"
ansible.module_utils.__path__.append(str(PLAYBOOKS / "module_utils"))
sys.path.insert(0, str(PLAYBOOKS / "library"))


def library(name: str) -> Any:
    """A module of playbooks/library, or (`provision_x`) one of playbooks/module_utils."""
    return importlib.import_module(f"ansible.module_utils.{name}" if name.startswith("provision_") else name)


class Programs:
    """Stands for the programs of a host that a test must not start: remembers them, answers as told."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.answers: list[tuple[Callable[[list[str]], bool], int, str, str]] = []

    def answer(self, *words: str, status: int = 0, out: str = "", err: str = "") -> None:
        """A program whose arguments contain all of `words` ends like this; the last answer that fits counts."""
        self.answers.insert(0, (lambda argv: set(words) <= set(argv), status, out, err))

    def __call__(self, argv: Sequence[str], *, check: bool = True, **_options: object) -> object:
        host = library("provision_host")
        self.calls.append(list(argv))
        for fits, status, out, err in self.answers:
            if fits(list(argv)):
                if check and status != 0:
                    raise host.HostError(f"{argv[0]} ended with status {status}", command=argv)
                return host.Completed(tuple(argv), status, out, err)
        return host.Completed(tuple(argv), 0, "", "")

    def ran(self, *words: str) -> bool:
        return any(set(words) <= set(call) for call in self.calls)


@pytest.fixture
def programs() -> Programs:
    return Programs()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host's root directory, as far as the modules read it."""
    for name in ("etc", "proc/sys/net/ipv4", "sys/module", "run"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "proc/swaps").write_text("Filename Type Size Used Priority\n", encoding="utf-8")
    (tmp_path / "proc/sys/net/ipv4/ip_forward").write_text("0\n", encoding="utf-8")
    return tmp_path


@pytest.fixture(scope="session")
def openpgp_key(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes, str]:
    """A real key, made by gpg: binary, armored, fingerprint."""
    home = tmp_path_factory.mktemp("gnupg")
    home.chmod(0o700)
    base = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--pinentry-mode=loopback", "--passphrase="]
    subprocess.run([*base, "--quick-generate-key", "lab <lab@example.org>", "ed25519"], check=True)
    listed = subprocess.run(
        [*base, "--with-colons", "--list-keys"], check=True, capture_output=True, text=True
    )
    fingerprint = next(line.split(":")[9] for line in listed.stdout.splitlines() if line.startswith("fpr"))
    binary = subprocess.run([*base, "--export"], check=True, capture_output=True).stdout
    armored = subprocess.run([*base, "--armor", "--export"], check=True, capture_output=True).stdout
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=True)
    return binary, armored, fingerprint
