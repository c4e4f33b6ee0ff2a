"""Findings about hosts and the cluster, in short."""

from __future__ import annotations

from provision.model.plan import Finding


def error(check: str, where: str, message: str, fix: str) -> Finding:
    """Stops `apply` before anything is changed; `where` is a host's name, "" the cluster as a whole."""
    return Finding(severity="error", check=check, where=where, message=message, fix=fix)


def warning(check: str, where: str, message: str, fix: str) -> Finding:
    """Shown, and nothing more."""
    return Finding(severity="warning", check=check, where=where, message=message, fix=fix)
