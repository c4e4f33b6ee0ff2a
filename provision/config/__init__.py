"""File to model: knows YAML, knows no host and no AWS account.

`load(path)` gives a `Cluster` or an `EksCluster`, or raises one error with every problem of the file.
"""

from __future__ import annotations

from provision.config.load import AnyLoaded, Loaded, eks_only, kubeadm_only, load, load_text
from provision.config.schema import schema

__all__ = ["AnyLoaded", "Loaded", "eks_only", "kubeadm_only", "load", "load_text", "schema"]
