"""Load cluster files as models, without contacting a host or AWS.

`load(path)` gives a `Cluster` or an `EksCluster`, or raises one error with every problem of the file.
"""

from __future__ import annotations

from provision.config.load import AnyLoaded, Loaded, eks_only, kubeadm_only, load, load_text
from provision.config.schema import schema

__all__ = ["AnyLoaded", "Loaded", "eks_only", "kubeadm_only", "load", "load_text", "schema"]
