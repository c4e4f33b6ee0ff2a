"""The JSON Schema and the reference page are generated from the types, and are current."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from provision.config import load_text, schema
from provision.config.reference import reference
from provision.config.schema import ClusterFile, sections
from provision.model.eks import EksCluster
from provision.paths import content_root

from .eks_factories import EKS
from .factories import GOOD, assert_golden


def test_the_reference_page_is_current_and_one_command_writes_it(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    subprocess.run([sys.executable, "-m", "provision.config.reference", str(page)], check=True)
    assert page.read_text() == (content_root() / "docs" / "cluster-file.md").read_text()


def test_every_key_is_described_in_the_page_and_in_the_schema() -> None:
    page, known = reference(), schema()
    for model in (ClusterFile, EksCluster):
        for section in sections(model).values():
            properties = known["$defs"][section.__name__]["properties"]  # type: ignore[index]
            for name in section.model_fields:
                assert f"| `{name}` |" in page
                assert properties[name]["description"]


def test_the_examples_of_the_page_load() -> None:
    examples = [part.split("```")[0] for part in reference().split("```yaml\n")[1:]]
    assert [load_text(text, Path("cluster.yaml")).cluster.provider for text in examples] == ["kubeadm", "eks"]


def test_the_schema_is_the_one_that_editors_have() -> None:
    assert_golden(json.dumps(schema(), indent=2) + "\n", "schema.json")


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        (GOOD, True),
        (GOOD.partition("hosts:")[0] + "inventory: hosts.yml\n", True),
        (GOOD + "inventory: hosts.yml\n", False),
        (GOOD.partition("hosts:")[0], False),
        (GOOD + "zzz: 1\n", False),
        (GOOD.replace("worker", "wroker"), False),
        (GOOD.replace('"1.36.3"', "1.36"), False),
        (GOOD.replace("10.0.0.21", "10.0.0.21, labels: {a: no}"), False),
        (GOOD + "provider: kubeadm\n", True),
        (GOOD + "provider: eks\n", False),
        (GOOD + "region: eu-central-1\n", False),
        (EKS, True),
        ((content_root() / "inventories" / "eks" / "cluster.yaml").read_text(), True),
        (EKS.replace("provider: eks\n", ""), False),
        (EKS + "hosts: []\n", False),
        (EKS + "logs: [audits]\n", False),
        (EKS + "vpc: {nat: two}\n", False),
        (EKS.replace('"1.35"', "1.35"), False),
    ],
)
def test_the_schema_accepts_and_refuses_what_the_types_do(text: str, valid: bool) -> None:  # noqa: FBT001
    assert Draft202012Validator(schema()).is_valid(yaml.safe_load(text)) is valid
