"""The only place that knows where playbooks, example inventories and lab definitions lie."""

from __future__ import annotations

from pathlib import Path


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
