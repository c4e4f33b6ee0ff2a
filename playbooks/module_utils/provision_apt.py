"""apt and dpkg, driven so that they never ask, wait for their locks, and fail with the reason first."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.module_utils.provision_download import (
    ARCHITECTURES,
    package_architecture,
    repository_key,
    repository_url,
)
from ansible.module_utils.provision_dpkg import fields_of, interrupted, is_there, status_of
from ansible.module_utils.provision_files import MARK, os_release
from ansible.module_utils.provision_host import (
    Completed,
    HostError,
    Run,
    atomic_write,
    read,
    run,
    unlocked,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ansible.module_utils.provision_host import Changes

NAME = "apt"
# needrestart would restart services, and ask; debconf and dpkg would ask.
ENVIRONMENT = {
    "DEBIAN_FRONTEND": "noninteractive",
    "DEBIAN_PRIORITY": "critical",
    "NEEDRESTART_SUSPEND": "1",
    "APT_LISTCHANGES_FRONTEND": "none",
}
LIMIT = 1800  # seconds for a download and installation on a slow line
LOCK_TIMEOUT = 300  # seconds to wait for another package manager
_MISSING = (
    "unmet dependencies",
    "not installable",
    "Unable to correct problems",
    "not going to be installed",
)
_CAUSES = (
    (r"EXPKEYSIG", "the key that signs the package repository has expired"),
    (r"NO_PUBKEY|Missing key|is not signed", "the package repository is not signed with the expected key"),
    (
        r"Conflicting values set for option Signed-By",
        "another source list names the same repository: delete it",
    ),
    (
        r"Hash Sum mismatch|File has unexpected size",
        "the package repository is being updated, or a proxy spoils it",
    ),
    (r"Could not resolve|Temporary failure resolving", "the package repository's name cannot be resolved"),
    (r"Connection refused|timed out|Unable to connect", "the package repository cannot be reached"),
    (r"Version '.*' for '.*' was not found", "the package repository does not have this version"),
    (r"Unable to locate package", "the package repository does not have this package"),
    (
        r"Packages need to be removed",
        "the installation would remove packages: remove those that conflict first",
    ),
    (r"No space left on device", "the disk is full"),
    (r"Could not get lock", "another package manager is running"),
)


def pattern(version: str) -> str:
    """What apt takes for the versions of a package: of that upstream version, or those that `1.36.*` says."""
    return version if version.endswith("*") else f"{version}-*"


def add_repository(
    name: str,
    repository: Mapping[str, Any],
    packages: Mapping[str, str],
    changes: Changes,
    *,
    root: Path,
    run: Run = run,  # noqa: ARG001 - only dnf needs it, to import a key
    fetch: Callable[[str], bytes],
) -> None:
    """Write key, source list, and the pins of `packages`."""
    release = os_release(root)
    key = root / f"etc/apt/keyrings/provision-{name}.gpg"
    found = repository_key(key, _filled(repository["key_url"], release), repository["fingerprint"], fetch)
    if found:

        def effect() -> None:
            changes.remember(key)
            atomic_write(key, found[0])

        changes.make(found[1], effect)
    text = _source(repository, release, key)
    changes.file(_source_path(root, name), text, sentence=f"added the package repository {name}")
    pins = "".join(
        f"\nPackage: {package}\nPin: version {pattern(version)}\nPin-Priority: 990\n"
        for package, version in sorted(packages.items())
    )
    changes.file(root / f"etc/apt/preferences.d/provision-{name}", f"{MARK}\n{pins}")


def _source_path(root: Path, name: str) -> Path:
    return Path(root, f"etc/apt/sources.list.d/provision-{name}.sources")


def _source(repository: Mapping[str, Any], release: Mapping[str, str], key: Path) -> str:
    components = " ".join(repository["components"])
    return (
        f"{MARK}\n"
        "Types: deb\n"
        f"URIs: {repository_url(_filled(repository['url'], release))}\n"
        f"Suites: {_filled(repository['suite'], release)}\n"
        + (f"Components: {components}\n" if components else "")
        + f"Architectures: {ARCHITECTURES[package_architecture()]}\n"
        f"Signed-By: {key}\n"
    )


def _filled(template: str, release: Mapping[str, str]) -> str:
    return template.replace("{id}", release.get("ID", "")).replace(
        "{codename}", release.get("VERSION_CODENAME", "")
    )


def installed(names: Iterable[str], *, root: Path, run: Run = run) -> dict[str, tuple[str, bool]]:  # noqa: ARG001
    """Version and "is held" of those packages that are installed completely."""
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Abbrev}\\t${Package}\\t${Version}\\n", *names]
    found = {}
    for line in run(query, check=False).out.splitlines():
        status, name, version = line.split("\t")
        if status[1:].strip() == "i":
            found[name] = (version, status[0] == "h")
    return found


def dpkg(
    *arguments: str,
    stdin: str = "",
    lock_timeout: float = LOCK_TIMEOUT,
    check: bool = True,
    run: Run = run,
) -> Completed:
    """Run dpkg once its lock is free; it does not wait for its lock by itself.

    Raises HostError if that takes longer than `lock_timeout` seconds, or (`check`) if dpkg fails.
    """
    argv = ["dpkg", *arguments]
    sign = "locked by"
    done = unlocked(argv, sign, lock_timeout, run, stdin=stdin, environment=ENVIRONMENT, timeout=LIMIT)
    is_locked = sign in done.err
    if done.status == 0 or not (is_locked or check):
        return done
    lines = done.last_lines()
    last = lines[-1] if lines else f"it ended with status {done.status}"
    cause = "another package manager is running" if is_locked else last
    raise HostError(f"dpkg failed: {cause}", command=argv, lines=lines)


def finish_interrupted(root: Path, *, lock_timeout: float = LOCK_TIMEOUT, run: Run = run) -> bool:
    """Complete what a killed dpkg left undone, as far as what is unpacked allows; true if there was something.

    One that still runs, as that of a run that was killed, is waited for. The rest is for `install(mend=True)`.
    """
    if not interrupted(root, status_of(root)):
        return False
    dpkg("--force-confold", "--configure", "-a", lock_timeout=lock_timeout, check=False, run=run)
    return True


def install(
    packages: Mapping[str, str], name: str, *, root: Path, lock_timeout: float = LOCK_TIMEOUT, run: Run = run
) -> None:
    """Install packages at versions that match `pattern`, from the repository of that name.

    An installation that was cut off is completed. At first only that repository's index is fetched and read, which is
    fast. Where a dependency has to come from the distribution, everything is updated and tried again.
    """
    mend = finish_interrupted(root, lock_timeout=lock_timeout, run=run)
    source = _source_path(root, name)
    ours = [f"-oDir::Etc::SourceList={source}", "-oDir::Etc::SourceParts=/dev/null"]
    only_ours = ["-oAPT::Get::List-Cleanup=0", "-opkgCacheFile::Generate=0", "--error-on=any"]
    names = [f"{name}={pattern(version)}" for name, version in sorted(packages.items())]
    options = ["--no-install-recommends", "--no-remove", "--allow-change-held-packages"]
    command = ["install", *options, *(["--fix-broken"] if mend else []), *names]
    _apt(["update", *ours, *only_ours], lock_timeout, run)
    first = _apt([*command, *ours], lock_timeout, run, check=False)
    if first.status == 0:
        return
    if not any(sign in first.out + first.err for sign in _MISSING):
        raise _failure(first)
    _apt(["update"], lock_timeout, run)
    _apt(command, lock_timeout, run)


def install_own(
    names: Sequence[str],
    *,
    root: Path,  # noqa: ARG001 - apt has no other
    lock_timeout: float = LOCK_TIMEOUT,
    run: Run = run,
) -> None:
    """Install the distribution's packages from the repositories that the host has; updates if need be."""
    command = ["install", "--no-install-recommends", "--no-remove", *names]
    if _apt(command, lock_timeout, run, check=False).status != 0:
        _apt(["update"], lock_timeout, run)
        _apt(command, lock_timeout, run)


def hold(names: Sequence[str], *, run: Run = run) -> None:
    """Keep packages from being upgraded by anyone but us."""
    dpkg("--set-selections", stdin="".join(f"{name} hold\n" for name in names), run=run)


def release(names: Sequence[str], *, run: Run = run) -> None:
    """Let packages be upgraded again."""
    dpkg("--set-selections", stdin="".join(f"{name} install\n" for name in names), run=run)


def erase(names: Sequence[str], *, root: Path, run: Run = run) -> None:
    """Purge packages; dpkg refuses where something else needs them, which apt would remove as well."""
    finish_interrupted(root, run=run)
    dpkg("--force-confold", "--purge", *names, run=run)
    for name in names:
        for archive in (root / "var/cache/apt/archives").glob(f"{name}_*.deb"):
            archive.unlink()


def known(root: Path, run: Run = run) -> dict[str, tuple[bool, frozenset[str], frozenset[str]]]:  # noqa: ARG001
    """Every package that is installed, wholly or in parts: "is held", names in its dependencies, what it provides."""
    found = {}
    for paragraph in status_of(root).split("\n\n"):
        fields = fields_of(paragraph)
        if is_there(fields):
            needs = _names(fields.get("Depends", "")) | _names(fields.get("Pre-Depends", ""))
            held = fields["Status"].startswith("hold ")
            found[fields["Package"]] = (held, needs, _names(fields.get("Provides", "")))
    return found


def _names(dependencies: str) -> frozenset[str]:
    """`libc6 (>= 2.34), a | b:any` -> libc6, a, b."""
    return frozenset(re.findall(r"(?:^|[,|])\s*([a-z0-9][a-z0-9.+-]+)", dependencies))


def automatic(names: Iterable[str], *, root: Path, run: Run = run) -> set[str]:  # noqa: ARG001
    """Those of the packages that came as dependencies and were not asked for since."""
    states = read(root / "var/lib/apt/extended_states") or ""
    return set(names) & set(re.findall(r"^Package: (.+)$", states, re.MULTILINE))


def _apt(arguments: Sequence[str], lock_timeout: float, run: Run, *, check: bool = True) -> Completed:
    argv = [
        "apt-get",
        "--quiet=2",
        "--yes",
        "-oDpkg::Use-Pty=0",
        "-oDpkg::Options::=--force-confold",
        "-oAcquire::Languages=none",
        "-oAcquire::Retries=3",
        f"-oDPkg::Lock::Timeout={lock_timeout:.0f}",
        *arguments,
    ]
    # The lock on the lists is the one that apt does not wait for by itself.
    done = unlocked(argv, "Could not get lock", lock_timeout, run, environment=ENVIRONMENT, timeout=LIMIT)
    if check and done.status != 0:
        raise _failure(done)
    return done


def _failure(done: Completed) -> HostError:
    text = done.out + done.err
    lines = [line for line in text.splitlines() if line.startswith(("E:", "W:", "Err:"))] or done.last_lines()
    cause = next((cause for pattern, cause in _CAUSES if re.search(pattern, text)), "")
    last = lines[-1] if lines else f"it ended with status {done.status}"
    return HostError(
        f"apt-get failed: {cause or last}", command=done.argv, lines=[*lines[-8:], *done.last_lines(4)]
    )
