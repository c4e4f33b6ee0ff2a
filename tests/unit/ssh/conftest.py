"""A home of OpenSSH for each test: ssh takes the home of /etc/passwd, whatever $HOME says."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

_DEFAULTS = """\
Include {home}/.ssh/config
Match all
  UserKnownHostsFile {home}/.ssh/known_hosts
  IdentityFile {home}/.ssh/id_ed25519
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without keys, known hosts or an agent; `.ssh/config` of it is what ssh reads."""
    program = shutil.which("ssh")
    if program is None:
        pytest.skip("no ssh on this machine: apt-get install openssh-client")
    (tmp_path / ".ssh").mkdir(mode=0o700)
    settings = tmp_path / "ssh_config"
    settings.write_text(_DEFAULTS.format(home=tmp_path))
    wrapper = tmp_path / "bin/ssh"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\nexec {program} -F {settings} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return tmp_path
