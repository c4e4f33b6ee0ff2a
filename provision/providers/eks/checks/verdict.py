"""Findings about an account and its cluster, in short."""

from __future__ import annotations

from provision.model.plan import Finding


def error(check: str, message: str, fix: str, *, where: str = "") -> Finding:
    """Stops `apply` before anything is changed; `where` is a resource ("node-group workers"), "" the whole."""
    return Finding(severity="error", check=check, where=where, message=message, fix=fix)


def warning(check: str, message: str, fix: str, *, where: str = "") -> Finding:
    """Shown, and nothing more."""
    return Finding(severity="warning", check=check, where=where, message=message, fix=fix)
