"""Packages of one apt repository at pinned versions, held; the repository's key is checked by fingerprint."""

from __future__ import annotations

import fnmatch
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.module_utils import provision_apt as apt
from ansible.module_utils.provision_download import ARCHITECTURES, fetched
from ansible.module_utils.provision_files import MARK, os_release
from ansible.module_utils.provision_host import Changes, HostError, Run, atomic_write, run
from ansible.module_utils.provision_module import run_module
from ansible.module_utils.provision_openpgp import dearmor, fingerprints
from ansible.module_utils.provision_packages import note_before

if TYPE_CHECKING:
    from collections.abc import Callable

DOCUMENTATION = r"""
module: apt_packages
short_description: Install pinned packages of one apt repository and hold them
description:
  - Fetches the repository's key and refuses any but the expected one, writes the source list and the pin,
    installs, and holds. Nothing is fetched when everything is in place.
  - In url, key_url and suite, C({id}) and C({codename}) stand for what /etc/os-release says.
options:
  name: {description: Names the files that are written, type: str, required: true}
  url: {description: Base URL of the repository, type: str, required: true}
  suite: {description: Suite; a flat repository has C(/), type: str, required: true}
  components: {description: Components; none for a flat repository, type: list, elements: str, default: []}
  key_url: {description: Where the public key is, type: str, required: true}
  fingerprint:
    description:
      - Fingerprint of the only key that is accepted.
      - Empty, it is the one that C(key_url) holds when it is first fetched, which must be an C(https) URL then.
    type: str
    required: true
  packages:
    description: Package names and upstream versions; C(1.36.*) accepts the newest one that begins like that
    type: dict
    required: true
  lock_timeout: {description: Seconds to wait for another package manager, type: int, default: 300}
author: provision
"""

_URL = re.compile(r"https?://[^\s/]+[^\s]*")


def provide(
    wanted: dict[str, Any],
    changes: Changes,
    *,
    root: Path = Path("/"),
    run: Run = run,
    fetch: Callable[[str], bytes] | None = None,
) -> None:
    release = os_release(root)
    name = wanted["name"]
    key = root / f"etc/apt/keyrings/provision-{name}.gpg"
    source = root / f"etc/apt/sources.list.d/provision-{name}.sources"
    ensure_key(key, _filled(wanted["key_url"], release), wanted["fingerprint"], changes, fetch or fetch_key)
    changes.file(source, _source(wanted, release, key), sentence=f"added the package repository {name}")
    pins = "".join(
        f"\nPackage: {package}\nPin: version {apt.pattern(version)}\nPin-Priority: 990\n"
        for package, version in sorted(wanted["packages"].items())
    )
    changes.file(root / f"etc/apt/preferences.d/provision-{name}", f"{MARK}\n{pins}")
    _ensure_packages(wanted, source, changes, root, run)


def ensure_key(
    path: Path, url: str, fingerprint: str, changes: Changes, fetch: Callable[[str], bytes]
) -> None:
    """Put the key of that fingerprint, and no other, to `path`; fetched only if it is not there yet.

    Without a fingerprint the key is trusted that an https server says is its own, and kept from then on.
    """
    expected = fingerprint.replace(" ", "").upper()
    if _holds(path, expected):
        return
    if not expected and not url.startswith("https://"):
        raise HostError(f"{url} is not fetched by https, and the fingerprint of its key is not known: pin it")
    key = dearmor(fetch(url))
    found = fingerprints(key)
    if len(found) != 1 or found[0] != (expected or found[0]):
        seen = ", ".join(found) or "no key"
        raise HostError(
            f"{url} holds {seen}, but {f'the key {expected}' if expected else 'one key'} is expected: "
            "is this the right mirror?"
        )

    def effect() -> None:
        changes.remember(path)
        atomic_write(path, key)

    how = "" if expected else f", as {url} says"
    changes.make(f"trusted the key {found[0]} for its repository{how}", effect)


def _holds(path: Path, fingerprint: str) -> bool:
    try:
        found: list[str] = fingerprints(path.read_bytes())
    except (FileNotFoundError, HostError):
        return False
    return len(found) == 1 and found[0] == (fingerprint or found[0])


def fetch_key(url: str) -> bytes:
    """The bytes at `url`, tried a few times; a key is small, no more than 1 MiB is read."""
    data: bytes = fetched(url, "the repository key ", lambda answer: answer.read(1 << 20), timeout=20)
    return data


def _ensure_packages(wanted: dict[str, Any], source: Path, changes: Changes, root: Path, run: Run) -> None:
    packages: dict[str, str] = {name: str(version) for name, version in wanted["packages"].items()}
    before = apt.installed(packages, run=run)
    missing = {
        name: version
        for name, version in packages.items()
        if not fnmatch.fnmatchcase(before.get(name, ("", False))[0], apt.pattern(version))
    }
    if missing:

        def effect() -> None:
            if changes.record is not None:
                note_before(wanted["name"], packages, changes.record, root)
            patience = wanted["lock_timeout"]
            half_done = apt.finish_interrupted(root, lock_timeout=patience, run=run)
            apt.install(packages, source, lock_timeout=patience, mend=half_done, run=run)

        changes.make(
            f"installed {', '.join(f'{name} {version}' for name, version in missing.items())}", effect
        )
    not_held = [name for name in packages if name in missing or not before[name][1]]
    if not_held:
        changes.make(f"held {', '.join(not_held)}", lambda: apt.hold(not_held, run=run))


def _source(wanted: dict[str, Any], release: dict[str, str], key: Path) -> str:
    url = _filled(wanted["url"], release)
    if not _URL.fullmatch(url):
        raise HostError(f"{url!r} is no http or https URL of a package repository")
    machine = os.uname().machine
    if machine not in ARCHITECTURES:
        raise HostError(f"no packages for the architecture {machine}, only for {', '.join(ARCHITECTURES)}")
    components = " ".join(wanted["components"])
    return (
        f"{MARK}\n"
        "Types: deb\n"
        f"URIs: {url}\n"
        f"Suites: {_filled(wanted['suite'], release)}\n"
        + (f"Components: {components}\n" if components else "")
        + f"Architectures: {ARCHITECTURES[machine]}\n"
        f"Signed-By: {key}\n"
    )


def _filled(template: str, release: dict[str, str]) -> str:
    return template.replace("{id}", release.get("ID", "")).replace(
        "{codename}", release.get("VERSION_CODENAME", "")
    )


if __name__ == "__main__":
    run_module(
        {
            "name": {"type": "str", "required": True},
            "url": {"type": "str", "required": True},
            "suite": {"type": "str", "required": True},
            "components": {"type": "list", "elements": "str", "default": []},
            "key_url": {"type": "str", "required": True, "no_log": False},
            "fingerprint": {"type": "str", "required": True},
            "packages": {"type": "dict", "required": True},
            "lock_timeout": {"type": "int", "default": 300},
        },
        provide,
    )
