"""Locations: the state directory, and the playbooks, inventories and lab definitions that ship with the package."""

from __future__ import annotations

import os
from pathlib import Path


def state_root() -> Path:
    """`$PROVISION_STATE`, or `provision` below `$XDG_STATE_HOME` (`~/.local/state`); absolute."""
    named = os.environ.get("PROVISION_STATE")
    if named:
        return Path(named).absolute()
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "provision"


def content_root() -> Path:
    """Directory that holds `playbooks/`, `inventories/` and `lab/`.

    In an installed wheel that is `provision/_content`; in a checkout (editable install) the checkout itself,
    so the live files are used.
    """
    package = Path(__file__).parent
    shipped = package / "_content"
    return shipped if shipped.is_dir() else package.parent


def playbook(name: str) -> Path:
    """The playbook of a step, for example `prepare-hosts` -> `<root>/playbooks/prepare-hosts.yml`."""
    return content_root() / "playbooks" / f"{name}.yml"
