"""A valid file to change, and helpers to read its findings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from provision.config import Loaded, kubeadm_only, load, load_text
from provision.errors import FileError

if TYPE_CHECKING:
    from provision.model.cluster import Cluster
    from provision.model.plan import Finding

GOOD = """\
name: demo
kubernetes: "1.36.3"
network:
  pod_cidr: 10.244.0.0/16
hosts:
  - {name: cp1, address: 10.0.0.11, role: control-plane}
  - {name: w1, address: 10.0.0.21, role: worker}
"""
FILES = Path(__file__).parent / "files"
GOLDEN = Path(__file__).parents[2] / "golden" / "config"


def findings_of(text: str, directory: Path = Path()) -> tuple[Finding, ...]:
    """Return the findings of a text at `directory`/cluster.yaml: errors, or only warnings."""
    try:
        return load_text(text, directory / "cluster.yaml").warnings
    except FileError as error:
        return error.findings


def kubeadm_file(text: str, path: Path = Path("cluster.yaml")) -> Loaded[Cluster]:
    """Load a text without errors as a file of provider kubeadm."""
    return kubeadm_only(load_text(text, path), "a test")


def findings_of_bytes(raw: bytes, directory: Path) -> tuple[Finding, ...]:
    path = directory / "cluster.yaml"
    path.write_bytes(raw)
    try:
        return load(path).warnings
    except FileError as error:
        return error.findings


def changed(*replacements: tuple[str, str], add: str = "") -> str:
    """Return the valid file with texts replaced, once each, and text added at its end."""
    text = GOOD
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new, 1)
    return text + add


def only(findings: tuple[Finding, ...]) -> Finding:
    assert len(findings) == 1, findings
    return findings[0]


def as_text(findings: tuple[Finding, ...]) -> str:
    return "".join(
        f"{finding.severity}: {finding.where}: {finding.key}: {finding.message}\n  fix: {finding.fix}\n"
        for finding in findings
    )


def assert_golden(text: str, name: str) -> None:
    """Compare with a golden file; `UPDATE_GOLDEN=1 pytest` rewrites it, for review."""
    path = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()
