"""dnf (4 and 5) and rpm, driven so that they never ask, wait for their locks, and fail with the reason first."""

from __future__ import annotations

import fnmatch
import os
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.module_utils.provision_download import package_architecture, repository_key, repository_url
from ansible.module_utils.provision_files import MARK, os_release
from ansible.module_utils.provision_host import Completed, HostError, Run, run, unlocked
from ansible.module_utils.provision_openpgp import armored, dearmor, fingerprints
from ansible.module_utils.provision_rpm import REPOSITORIES, command, excluded, interrupted, query

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from ansible.module_utils.provision_host import Changes
    from ansible.module_utils.provision_record import Record

NAME = "dnf"
LIMIT = 1800  # seconds for a download and installation on a slow line, and for another dnf that runs
LOCK_TIMEOUT = 300  # seconds to wait for another package manager
_KEYS = "etc/pki/rpm-gpg/RPM-GPG-KEY-provision-"
_KEY_QUERY = "--queryformat=@@%{VERSION}-%{RELEASE}\\n%{DESCRIPTION}\\n"
_CACHES = ("var/cache/dnf", "var/cache/libdnf5")
_TOPIC = "rpm keys"  # of the record: fingerprint -> whether rpm had the key before
# dnf 4 waits for another one of itself without an end; dnf 5 and rpm's library give up with these words.
_LOCKED = "transaction lock"
_MISSING = ("nothing provides", "No match for argument", "Unable to find a match", "No matches found", "404")
_CAUSES = (
    (r"GPG check FAILED|OpenPGP check failed|BAD|NOKEY", "a package is not signed with the expected key"),
    (r"nothing provides (\S+)", "no enabled repository has {0}, which is needed"),
    (r"(?:No match for argument|Unable to find a match): *(\S+)", "no enabled repository has {0}"),
    (r"conflicts with|obsoletes", "it conflicts with packages that are installed: remove them first"),
    (r"Could not resolve host", "the package repository's name cannot be resolved"),
    (
        r"Connection refused|Connection timed out|Could not connect|Timeout was reached",
        "the package repository cannot be reached",
    ),
    (
        r"Cannot download repomd|Failed to download metadata",
        "the package repository's index cannot be fetched",
    ),
    (r"Status code: 404", "the package repository does not have it"),
    (r"No space left on device|needs \d+\w+ more space", "the disk is full"),
    (_LOCKED, "another package manager is running"),
)


def pattern(version: str) -> str:
    """What versions of a package match: of that upstream version, or those that `1.36.*` says. rpm's epochs differ."""
    plain = version.rpartition(":")[2]
    return plain if plain.endswith("*") else f"{plain}-*"


def installed(names: Sequence[str], *, root: Path, run: Run = run) -> dict[str, tuple[str, bool]]:  # noqa: ARG001
    """Version without epoch and "upgrades leave it alone" of those packages that are installed completely."""
    listed = query(root, [*names])
    held, broken = excluded(root), interrupted(root, listed)
    return {name: (_plain(versions), name in held) for name, versions in listed.items() if name not in broken}


def add_repository(
    name: str,
    repository: Mapping[str, Any],
    packages: Collection[str],
    changes: Changes,
    *,
    root: Path,
    run: Run = run,
    fetch: Callable[[str], bytes],
) -> None:
    """Write key and repository file, and let rpm trust the key; upgrades of its `packages` are excluded."""
    release = os_release(root)
    path = Path(root, f"{_KEYS}{name}")
    url = _filled(repository["url"], release)
    found = repository_key(path, _filled(repository["key_url"], release), repository["fingerprint"], fetch)
    if found:
        key, sentence = found
        changes.file(path, armored(key).decode(), sentence=sentence)
    else:
        key = dearmor(path.read_bytes())
    lines = [
        MARK,
        f"[provision-{name}]",
        f"name=Packages that provision installs ({name})",
        f"baseurl={repository_url(url)}",
        "enabled=1",
        "gpgcheck=1",
        f"gpgkey=file://{path}",
        f"exclude={' '.join(sorted(packages))}",
    ]
    file = Path(root, f"{REPOSITORIES[1:]}/provision-{name}.repo")
    changes.file(file, "\n".join(lines) + "\n", sentence=f"added the package repository {name}")
    _trust(key, path, changes, root, run)


def _trust(key: bytes, path: Path, changes: Changes, root: Path, run: Run) -> None:
    """Import the key. One of the same id that rpm has in another state, not renewed yet, hides it: it is removed."""
    fingerprint = fingerprints(key)[0]
    there = _keys(fingerprint, root, run)
    if any(dearmor(armor.encode()) == key for armor in there.values()):
        return

    def effect() -> None:
        if changes.record is not None:
            changes.record.note(_TOPIC, fingerprint, was=bool(there))
        if there:
            erase([f"gpg-pubkey-{name}" for name in there], root=root, run=run)
        run(["rpmkeys", *command(root)[1:], "--import", str(path)])

    how = "replaced rpm's older copy of" if there else "imported"
    changes.make(f"{how} the key {fingerprint}", effect)


def forget_keys(changes: Changes, record: Record, *, root: Path, run: Run = run) -> None:
    """Take keys from rpm that it did not have before."""
    ours = [fingerprint for fingerprint, was in record.noted(_TOPIC).items() if not was]
    gone = [f"gpg-pubkey-{name}" for fingerprint in ours for name in _keys(fingerprint, root, run)]
    if gone:
        changes.make(f"removed {', '.join(gone)} from rpm's keys", lambda: erase(gone, root=root, run=run))


def _keys(fingerprint: str, root: Path, run: Run) -> dict[str, str]:
    """Keys of that id that rpm has: their version-release, and their text. rpm 6 has all of the fingerprint there."""
    listed = run([*command(root), "--query", _KEY_QUERY, "gpg-pubkey"], check=False).out
    found = dict(entry.split("\n", 1) for entry in listed.split("@@")[1:])
    return {
        name: armor
        for name, armor in found.items()
        if fingerprint.lower().endswith(name.partition("-")[0].lower())
    }


def install(
    packages: Mapping[str, str], name: str, *, root: Path, lock_timeout: float = LOCK_TIMEOUT, run: Run = run
) -> None:
    """Install packages at versions that match `pattern`, from the repository of that name.

    At first only that repository's index is fetched and read, which is fast. Where a dependency has to come from the
    distribution, that is asked as the host has it, and again with new indexes. What a killed transaction has left is
    installed again.
    """
    listed = query(root, [*packages])
    broken = interrupted(root, listed)
    for package, versions in listed.items():
        older = [f"{package}-{version.partition(':')[2]}" for version in versions[:-1]]
        if older:
            erase(older, root=root, run=run)
    specs = {package: f"{package}-{pattern(version)}" for package, version in sorted(packages.items())}
    again = [
        spec
        for package, spec in specs.items()
        if package in broken and fnmatch.fnmatchcase(f"{package}-{_plain(listed.get(package, ['']))}", spec)
    ]
    ours = ["--disablerepo=*", f"--enablerepo=provision-{name}", "--refresh"]
    allowed = f"--setopt=disable_excludes=provision-{name}"
    for verb, wanted in (("reinstall", again), ("install", list(specs.values()))):
        if wanted:
            _dnf([verb, allowed, *wanted], (ours, [], ["--refresh"]), root, lock_timeout, run)


def _plain(versions: Sequence[str]) -> str:
    """The newest one, as `version-release`."""
    return versions[-1].partition(":")[2].rpartition(".")[0]


def install_own(
    names: Sequence[str], *, root: Path = Path("/"), lock_timeout: float = LOCK_TIMEOUT, run: Run = run
) -> None:
    """Install the distribution's packages from the repositories that the host has, with new indexes if need be."""
    _dnf(["install", *names], ([], ["--refresh"]), root, lock_timeout, run)


def hold(names: Sequence[str], *, run: Run = run) -> None:
    """Nothing more to do: the repository's file, which is written before, excludes the packages from upgrades."""


def erase(names: Sequence[str], *, root: Path, run: Run = run) -> None:
    """Remove packages; rpm refuses where something else needs them, and waits for its lock by itself."""
    run([*command(root), "--erase", "--allmatches", *names], timeout=LIMIT)


def caches(name: str, root: Path) -> list[Path]:
    """What dnf 4 and dnf 5 keep of the repository's indexes."""
    return [path for place in _CACHES for path in sorted((root / place).glob(f"provision-{name}[.-]*"))]


def known(root: Path, run: Run = run) -> dict[str, tuple[bool, frozenset[str], frozenset[str]]]:
    """Every installed package: "is held", packages that it needs, and nothing for what it provides.

    Requirements are capabilities or files; they are resolved to the packages that have them.
    """
    form = (
        "--queryformat=[%{=NAME}\\tR\\t%{REQUIRENAME}\\n][%{=NAME}\\tP\\t%{PROVIDENAME}\\n]%{NAME}\\tN\\t\\n"
    )
    needs: dict[str, set[str]] = {}
    providers: dict[str, set[str]] = {}
    for line in run([*command(root), "--query", "--all", form], timeout=LIMIT).out.splitlines():
        name, kind, capability = line.split("\t")
        if kind == "R":
            needs.setdefault(name, set()).update(_names(capability))
        elif kind == "P":
            providers.setdefault(capability, set()).add(name)
        elif name != "gpg-pubkey":
            needs.setdefault(name, set())
    for path, owners in _owners({one for some in needs.values() for one in some if one[0] == "/"}, root, run):
        providers.setdefault(path, set()).update(owners)
    found = {name: {one for need in some for one in providers.get(need, ())} for name, some in needs.items()}
    return {name: (False, frozenset(some - {name}), frozenset()) for name, some in found.items()}


def _owners(paths: Collection[str], root: Path, run: Run) -> Iterator[tuple[str, set[str]]]:
    """Each of the paths with the packages that have that file, wherever links of directories lead to."""
    base = str(root).rstrip("/")
    real = {path: os.path.realpath(base + path)[len(base) :] for path in sorted(paths)}
    # All files of the packages that have one of the paths.
    argv = [*command(root), "--query", "--file", "--queryformat=[%{=NAME}\\t%{FILENAMES}\\n]", *real]
    listed = run(argv, check=False, timeout=LIMIT).out if real else ""
    owners: dict[str, set[str]] = {}
    for name, is_there, path in (line.partition("\t") for line in set(listed.splitlines())):
        if is_there:
            owners.setdefault(path, set()).add(name)
    for path, target in real.items():
        yield path, owners.get(path, set()) | owners.get(target, set())


def _names(capability: str) -> list[str]:
    """Capabilities in a requirement; of a rich one all but conditions: `(a or b if c)` needs a or b."""
    if not capability.startswith("("):
        return [] if capability.startswith("rpmlib(") else [capability]
    words = re.findall(r"[^\s()]+(?:\([^\s()]*\))*", re.sub(r"\b(?:if|unless) [^\s()]+", "", capability))
    return [word for word in words if word not in {"or", "and", "with", "without", "else"}]


def automatic(names: Iterable[str], *, root: Path, run: Run = run) -> set[str]:
    """Those of the packages that came as dependencies and were not asked for since."""
    return set(names) - _asked_for(root, run)


@lru_cache  # a reset asks several times, and dnf takes a second
def _asked_for(root: Path, run: Run) -> frozenset[str]:
    argv = [*_program(root), "--quiet", "--cacheonly", "--disablerepo=*", "repoquery", "--userinstalled"]
    listed = run(argv, timeout=LIMIT).out.splitlines()
    return frozenset(line.rsplit("-", 2)[0] for line in listed if line.strip())


def _dnf(
    arguments: Sequence[str], attempts: Sequence[Sequence[str]], root: Path, lock_timeout: float, run: Run
) -> None:
    """Run dnf with one set of options after the other until something is not missing any more."""
    verb, *rest = arguments
    for options in attempts:
        argv = [*_program(root), "--assumeyes", "--setopt=install_weak_deps=False", *options, verb, *rest]
        done = unlocked(argv, _LOCKED, lock_timeout, run, timeout=LIMIT)
        if done.status == 0:
            return
        if not any(sign in done.out + done.err for sign in _MISSING):
            break
    raise _failure(done)


def _program(root: Path) -> list[str]:
    base = str(root).rstrip("/")
    return ["dnf", f"--installroot={base}"] if base else ["dnf"]


def _failure(done: Completed) -> HostError:
    text = done.out + done.err
    found = ((cause, re.search(sign, text)) for sign, cause in _CAUSES)
    cause = next((cause.format(*match.groups()) for cause, match in found if match), "")
    lines = done.last_lines(16) or [f"it ended with status {done.status}"]
    return HostError(f"dnf failed: {cause or lines[-1]}", command=done.argv, lines=lines)


def _filled(template: str, release: Mapping[str, str]) -> str:
    """The URL with what os-release says. openEuler and Kylin, whose releases are others, are taken for release 9."""
    system, major = release.get("ID", ""), release.get("VERSION_ID", "").partition(".")[0]
    values = {
        "id": system,
        "major": "9" if system in {"openEuler", "kylin"} else major,
        "distribution": system if system in {"fedora", "centos"} else "rhel",
        "architecture": package_architecture(),
    }
    for name, value in values.items():
        template = template.replace(f"{{{name}}}", value)
    return template
