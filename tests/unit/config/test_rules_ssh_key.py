"""A private key that ssh would not use is explained before anything is contacted."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from .factories import GOOD, findings_of, only

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"


def written(path: Path, content: str, mode: int = 0o600) -> str:
    path.write_bytes(content.encode())
    path.chmod(mode)
    return f"{GOOD}ssh: {{key: {path}}}\n"


def test_a_key_that_ssh_keygen_made_is_accepted(tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    assert findings_of(f"{GOOD}ssh: {{key: {key}}}\n") == ()


@pytest.mark.parametrize(
    ("content", "mode", "message", "fix"),
    [
        (KEY, 0o644, "has mode 0644: others can read it", "`chmod 600 "),
        (KEY.replace("\n", "\r\n"), 0o600, "Windows line endings", "sed"),
        ("ssh-ed25519 AAAA me\n", 0o600, "is a public key", "write "),
        ("PuTTY-User-Key-File-3: ssh-ed25519\n", 0o600, "is a PuTTY key", "puttygen"),
        ("hello\n", 0o600, "is not a private key", ""),
        ("", 0o600, "is not a private key", ""),
    ],
)
def test_a_file_that_ssh_would_not_use_is_explained(
    content: str, mode: int, message: str, fix: str, tmp_path: Path
) -> None:
    finding = only(findings_of(written(tmp_path / "key", content, mode)))
    assert (finding.where, finding.key) == ("cluster.yaml:8", "ssh.key")
    assert message in finding.message
    assert fix in finding.fix


def test_a_missing_key_a_directory_and_a_pipe_have_different_messages(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dir").mkdir()
    for name, words in (("none", "does not exist"), ("dir", "is a directory"), ("pipe", "is not a file")):
        assert words in only(findings_of(f"{GOOD}ssh: {{key: {tmp_path / name}}}\n")).message


def test_a_tilde_is_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert (
        f"{tmp_path}/.ssh/id does not exist" in only(findings_of(f"{GOOD}ssh: {{key: ~/.ssh/id}}\n")).message
    )


@pytest.mark.parametrize("key", ["'%d/id'", "'*'", "''", "$HOME/id"])
def test_a_path_that_openssh_would_expand_is_refused(key: str) -> None:
    assert only(findings_of(f"{GOOD}ssh: {{key: {key}}}\n")).key == "ssh.key"


def test_the_content_of_a_key_is_never_repeated(tmp_path: Path) -> None:
    finding = only(findings_of(written(tmp_path / "key", "s3cret-content\n")))
    assert "s3cret" not in finding.message + finding.fix
