"""Which versions are tested with which Kubernetes, by the tables of versions.yaml. Pure."""

from __future__ import annotations

from provision.model.units import minor_of, numbers_of
from provision.versions import versions


def containerd_mismatch(kubernetes: str, containerd: str) -> str:
    """Return why a containerd is not one that is tested with a Kubernetes; "" if it is, or if either is unknown.

    Lines that are newer than those tested with a minor are accepted: tests stop when the next minor comes, and every
    containerd since 1.6 has version 1 of the CRI.
    """
    minor = versions().kubernetes.minors.get(minor_of(kubernetes))
    line = minor_of(containerd)
    if minor is None or numbers_of(line) > max(map(numbers_of, minor.containerd)):
        return ""
    if line in minor.containerd and numbers_of(containerd) >= numbers_of(minor.containerd[line]):
        return ""
    tested = ", ".join(f"{oldest} or newer of {line}" for line, oldest in reversed(minor.containerd.items()))
    return f"containerd {containerd} is not tested with Kubernetes {minor_of(kubernetes)} (tested: {tested})"


def calico_mismatch(kubernetes: str, calico: str) -> str:
    """Return why a Calico is not one that is tested with a Kubernetes; "" if it is, or if either is unknown."""
    minors = versions().kubernetes.minors
    minor, line = minors.get(minor_of(kubernetes)), minor_of(calico)
    newest = max(numbers_of(known) for each in minors.values() for known in each.calico)
    if minor is None or line in minor.calico or numbers_of(line) > newest:
        return ""
    tested = ", ".join(minor.calico)
    return f"Calico {calico} is not tested with Kubernetes {minor_of(kubernetes)} (tested: {tested})"
