"""A valid file of provider eks to change."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from provision.config import Loaded, eks_only, load_text

if TYPE_CHECKING:
    from provision.model.eks import EksCluster

EKS = """\
name: demo
provider: eks
region: eu-central-1
kubernetes: "1.35"
endpoint: {public_cidrs: [203.0.113.0/24]}
node_groups:
  - {name: workers, instance_types: [m7i.large]}
"""
ROLE = "arn:aws:iam::123456789012:role/platform"


def eks_file(text: str) -> Loaded[EksCluster]:
    """Load a text without errors as a file of provider eks."""
    return eks_only(load_text(text, Path("cluster.yaml")), "a test")


def eks_changed(*replacements: tuple[str, str], add: str = "") -> str:
    """Return the valid file with texts replaced, once each, and text added at its end."""
    text = EKS
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new, 1)
    return text + add


def group(more: str) -> str:
    """Return the valid file with more keys in its node group, as in `min: 3, max: 2`."""
    return eks_changed(("instance_types: [m7i.large]", more))
