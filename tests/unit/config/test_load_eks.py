"""A file of provider eks is loaded as a cluster, or all its problems are reported at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from provision.config import eks_only, kubeadm_only, load, load_text
from provision.errors import FileError
from provision.model.eks import EksCluster, EndpointAccess, NodeGroup
from provision.paths import content_root

from .eks_factories import EKS, eks_changed, eks_file
from .factories import FILES, GOOD, as_text, assert_golden, findings_of, only


def test_a_good_file_becomes_a_cluster_with_defaults() -> None:
    loaded = eks_file(EKS)
    assert loaded.cluster == EksCluster(
        name="demo",
        provider="eks",
        region="eu-central-1",
        kubernetes="1.35",
        endpoint=EndpointAccess(public_cidrs=("203.0.113.0/24",)),
        node_groups=(NodeGroup(name="workers"),),
    )
    assert loaded.warnings == ()
    assert loaded.line("node_groups[0].name") == 7


def test_ten_different_mistakes_are_findings_with_lines_and_fixes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FILES)
    with pytest.raises(FileError) as failure:
        load(Path("eks-ten-mistakes.yaml"))
    findings = failure.value.findings
    assert failure.value.message == f"eks-ten-mistakes.yaml has {len(findings)} errors"
    assert len({finding.check for finding in findings}) >= 10
    assert all(
        finding.where.startswith("eks-ten-mistakes.yaml:") and finding.key and finding.fix
        for finding in findings
    )
    assert_golden(as_text(findings), "eks-ten-mistakes.txt")


def test_a_file_is_only_of_the_provider_that_it_names() -> None:
    eks, kubeadm = load_text(EKS, Path("cluster.yaml")), load_text(GOOD, Path("cluster.yaml"))
    assert eks_only(eks, "eks token").cluster.region == "eu-central-1"
    assert kubeadm_only(kubeadm, "node add").cluster.hosts
    with pytest.raises(FileError) as failure:
        kubeadm_only(eks, "node add")
    assert failure.value.message == "cluster.yaml:2: node add is for provider kubeadm; this file's is eks"
    with pytest.raises(FileError) as failure:
        eks_only(kubeadm, "eks token")
    assert failure.value.message == "cluster.yaml: eks token is for provider eks; this file's is kubeadm"
    assert only(failure.value.findings).key == "provider"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("provider: eks\n", "", "provider is missing (what makes the cluster)"),
        ("provider: eks", "provider: EKS", "EKS is none of eks, kubeadm"),
        ("provider: eks", "provider: aws", "aws is none of eks, kubeadm"),
    ],
)
def test_a_file_with_a_misspelt_provider_is_validated_by_its_keys(old: str, new: str, message: str) -> None:
    finding = only(findings_of(eks_changed((old, new))))
    assert (finding.key, finding.message) == ("provider", message)
    assert "eks" in finding.fix


def test_a_file_with_hosts_stays_one_of_kubeadm_whatever_else_is_in_it() -> None:
    finding = only(findings_of(GOOD + "region: eu-central-1\n"))
    assert (finding.key, finding.check) == ("region", "unknown-key")


def test_the_fix_of_an_unknown_provider_is_the_list_of_providers() -> None:
    finding = only(findings_of(GOOD + "provider: gke\n"))
    assert finding.message == "gke is none of kubeadm, eks"


def test_the_example_loads_without_a_finding() -> None:
    loaded = load(content_root() / "inventories" / "eks" / "cluster.yaml")
    assert loaded.warnings == ()
    assert eks_only(loaded, "a test").cluster.name == "example"


def test_loading_a_file_imports_no_aws_client() -> None:
    code = (
        "import sys; from pathlib import Path; from provision.config import load;"
        f"load(Path({str(content_root() / 'inventories' / 'eks' / 'cluster.yaml')!r}));"
        "print(sorted({'boto3', 'botocore', 'ansible', 'fabric', 'subprocess', 'rich'} & set(sys.modules)))"
    )
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == "[]"
