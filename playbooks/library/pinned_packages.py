"""Packages of one repository at pinned versions, by apt or dnf; the repository's key is checked by fingerprint."""

from __future__ import annotations

import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.module_utils.provision_download import fetched
from ansible.module_utils.provision_host import Changes, Run, run
from ansible.module_utils.provision_module import run_module
from ansible.module_utils.provision_packages import manager, note_before

if TYPE_CHECKING:
    from collections.abc import Callable

DOCUMENTATION = r"""
module: pinned_packages
short_description: Install pinned packages of one repository and keep upgrades from them
description:
  - Fetches the repository's key and refuses any but the expected one, writes the source list and the pin, or the
    repository file with its excludes, installs, and holds. Nothing is fetched when everything is in place.
  - /etc/os-release says whether O(apt) or O(dnf) counts, and what stands in their URLs and the suite for C({id}),
    C({codename}), C({major}) (of the release, C(9)) and C({distribution}), which is C(rhel) for derivatives of RHEL
    and C(fedora) or C(centos) for these. C({architecture}) is that of the packages.
options:
  name: {description: Names the files that are written, type: str, required: true}
  apt:
    description: The repository for Debian and Ubuntu
    type: dict
    required: true
    suboptions: &repository
      url: {description: Base URL of the repository, type: str, required: true}
      suite: {description: Suite; a flat repository has C(/), type: str, default: /}
      components: {description: Components; none for a flat repository, type: list, elements: str, default: []}
      key_url: {description: Where the public key is, type: str, required: true}
      fingerprint:
        description:
          - Fingerprint of the only key that is accepted.
          - Empty, it is the one that C(key_url) holds when it is first fetched, which must be an C(https) URL then.
        type: str
        required: true
  dnf:
    description: The repository for distributions with rpm; it has neither suite nor components
    type: dict
    required: true
    suboptions: *repository
  packages:
    description:
      - Package names and upstream versions; C(1.36.*) accepts the newest one that begins like that.
      - Epochs are those of Debian's packages.
    type: dict
    required: true
  lock_timeout: {description: Seconds to wait for another package manager, type: int, default: 300}
author: provision
"""


def provide(
    wanted: dict[str, Any],
    changes: Changes,
    *,
    root: Path = Path("/"),
    run: Run = run,
    fetch: Callable[[str], bytes] | None = None,
) -> None:
    system, name = manager(root), wanted["name"]
    packages = {package: str(version) for package, version in wanted["packages"].items()}
    system.add_repository(
        name, wanted[system.NAME], packages, changes, root=root, run=run, fetch=fetch or fetch_key
    )
    before: dict[str, tuple[str, bool]] = system.installed(packages, root=root, run=run)
    missing = {
        package: version
        for package, version in packages.items()
        if not fnmatch.fnmatchcase(before.get(package, ("", False))[0], system.pattern(version))
    }
    if missing:

        def effect() -> None:
            if changes.record is not None:
                note_before(name, packages, changes.record, root, run=run)
            system.install(packages, name, root=root, lock_timeout=wanted["lock_timeout"], run=run)

        named = ", ".join(f"{package} {version}" for package, version in missing.items())
        changes.make(f"installed {named}", effect)
    not_held = [package for package in packages if package in missing or not before[package][1]]
    if not_held:
        changes.make(f"held {', '.join(not_held)}", lambda: system.hold(not_held, run=run))


def fetch_key(url: str) -> bytes:
    """The bytes at `url`, tried a few times; a key is small, no more than 1 MiB is read."""
    data: bytes = fetched(url, "the repository key ", lambda answer: answer.read(1 << 20), timeout=20)
    return data


if __name__ == "__main__":
    repository: dict[str, Any] = {
        "type": "dict",
        "required": True,
        "options": {
            "url": {"type": "str", "required": True},
            "suite": {"type": "str", "default": "/"},
            "components": {"type": "list", "elements": "str", "default": []},
            "key_url": {"type": "str", "required": True, "no_log": False},
            "fingerprint": {"type": "str", "required": True},
        },
    }
    run_module(
        {
            "name": {"type": "str", "required": True},
            "apt": repository,
            "dnf": repository,
            "packages": {"type": "dict", "required": True},
            "lock_timeout": {"type": "int", "default": 300},
        },
        provide,
    )
