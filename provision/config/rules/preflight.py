"""Which of kubeadm's preflight checks may be ignored: by name, one by one.

The names are those of kubeadm 1.36 (cmd/kubeadm/app/preflight/checks.go in k8s.io/kubernetes).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from provision.config.problem import Key, Problem, meant, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = (
    "CRI",
    "ContainerRuntimeVersion",
    "ExternalEtcdVersion",
    "Firewalld",
    "HTTPProxy",
    "HTTPProxyCIDR",
    "Hostname",
    "ImagePull",
    "IsPrivilegedUser",
    "KubeletVersion",
    "KubernetesVersion",
    "Mem",
    "NumCPU",
    "Swap",
    "SystemVerification",
)
FAMILIES = (
    "DirAvailable-",
    "FileAvailable-",
    "FileContent-",
    "FileExisting-",
    "Port-",
)  # what follows: a path, ...
_MEMBER = re.compile(
    r"((DirAvailable|FileAvailable|FileContent|FileExisting)-[A-Za-z0-9._-]+|Port-[0-9]{1,5})"
)


def preflight_check(key: Key, value: str) -> Iterator[Problem]:
    """Refuse `all`, and what kubeadm would silently not match."""
    if value in NAMES or _MEMBER.fullmatch(value):
        return
    if value.lower() == "all":
        message = "all would hide every problem that kubeadm finds"
        fix = "name the checks to ignore, one by one: kubeadm prints each name in brackets, [ERROR NumCPU]"
    else:
        message = f"kubeadm has no preflight check {shown(value)}"
        near = meant(value, (*NAMES, *FAMILIES))
        known = ", ".join((*NAMES, *(f"{family}*" for family in FAMILIES)))
        fix = f"did you mean {near}?" if near else f"known: {known}"
    yield Problem(key=key, check="preflight-name", message=message, fix=fix)
