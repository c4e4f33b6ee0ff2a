"""A file is loaded as a cluster, or all its problems are reported at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from provision.config import load, load_text
from provision.errors import FileError
from provision.model.cluster import Cluster, Host

from .factories import FILES, GOOD, as_text, assert_golden, changed, findings_of, kubeadm_file, only


def test_a_good_file_becomes_a_cluster_with_defaults() -> None:
    loaded = load_text(GOOD, Path("cluster.yaml"))
    assert loaded.cluster == Cluster(
        name="demo",
        kubernetes="1.36.3",
        hosts=(
            Host(name="cp1", address="10.0.0.11", role="control-plane"),
            Host(name="w1", address="10.0.0.21", role="worker"),
        ),
    )
    assert loaded.warnings == ()


def test_the_line_of_every_key_is_known_and_a_default_has_none() -> None:
    loaded = load_text(GOOD, Path("cluster.yaml"))
    assert loaded.line("kubernetes") == 2
    assert loaded.line("hosts[1].address") == 7
    assert loaded.line("network.service_cidr") is None


def test_ten_different_mistakes_are_ten_findings_with_lines_and_fixes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(FILES)
    with pytest.raises(FileError) as failure:
        load(Path("ten-mistakes.yaml"))
    assert len(failure.value.findings) == 10
    assert failure.value.message == "ten-mistakes.yaml has 10 errors"
    assert all(
        finding.where.startswith("ten-mistakes.yaml:") and finding.fix for finding in failure.value.findings
    )
    assert_golden(as_text(failure.value.findings), "ten-mistakes.txt")


def test_messages_name_the_path_as_the_user_gave_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my.yaml").write_text(changed(("demo", "De_mo")))
    with pytest.raises(FileError) as failure:
        load(Path("my.yaml"))
    assert only(failure.value.findings).where == "my.yaml:1"


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="does not exist") as failure:
        load(tmp_path / "cluster.yaml")
    assert "provision init" in failure.value.fix


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="is a directory"):
        load(tmp_path)


def test_warnings_alone_do_not_stop_a_file() -> None:
    loaded = load_text(changed(("10.244.0.0/16", "11.0.0.0/16")), Path("cluster.yaml"))
    assert [finding.severity for finding in loaded.warnings] == ["warning"]
    assert "public" in loaded.warnings[0].message


def test_the_key_becomes_an_absolute_path_seen_from_the_file(tmp_path: Path) -> None:
    key = tmp_path / "id"
    key.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    key.chmod(0o600)
    loaded = kubeadm_file(GOOD + "ssh: {key: id}\n", tmp_path / "cluster.yaml")
    assert loaded.cluster.ssh.key == str(key)


def test_one_key_has_findings_of_one_rule_only() -> None:
    finding = only(findings_of(changed(("cp1", '"{{ X_ }}"'))))
    assert finding.check == "plain-text"


def test_a_mistake_in_one_place_does_not_hide_one_in_another() -> None:
    found = findings_of(
        changed(("kubernetes:", "kubernets:"), ("w1", "cp1"), ("10.244.0.0/16", "10.96.0.0/16"))
    )
    assert [(finding.check, finding.key) for finding in found] == [
        ("unknown-key", "kubernets"),
        ("ranges-overlap", "network.pod_cidr"),
        ("duplicate-host", "hosts[1].name"),
    ]


def test_loading_imports_no_ansible_no_fabric_and_starts_no_program() -> None:
    code = (
        "import sys; from pathlib import Path; from provision.config import load;"
        f"load(Path({str(FILES / 'good.yaml')!r}));"
        "print(sorted({'ansible', 'fabric', 'subprocess', 'typer', 'rich'} & set(sys.modules)))"
    )
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == "[]"
