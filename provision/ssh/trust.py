"""Whether a host key may be pinned: it was given, known_hosts has it, or a person confirms it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from provision.errors import InterruptedRunError, UnreachableError
from provision.model.cluster import Host
from provision.model.plan import Finding
from provision.ssh import findings
from provision.ssh.host_keys import HostKey, fetch_host_keys

if TYPE_CHECKING:
    from provision.model.cluster import Cluster

Confirm = Callable[[Sequence[tuple[Host, HostKey]]], bool]  # whether to pin these keys


def pin_host_keys(
    cluster: Cluster,
    hosts: Sequence[Host],
    given: Mapping[str, str],
    *,
    command: Sequence[str],
    confirm: Confirm | None,
) -> list[Host]:
    """The hosts, each with its host key pinned.

    `given` has keys (`type base64`) or fingerprints (`SHA256:...`) by the host's name. `confirm` shows unknown keys to
    a person; None without a terminal, and then `command`, without `--host-key`, is what the fix repeats.
    Raises UnreachableError with each fingerprint if a key is not accepted, InterruptedRunError after a no.
    """
    pinned = {name: key for name, key in given.items() if not key.startswith("SHA256:")}
    hosts = [_pin(host, pinned.get(host.name)) for host in hosts]
    unpinned = [host for host in hosts if host.host_key is None]
    if not unpinned:
        return hosts
    fetched = fetch_host_keys(cluster, unpinned)
    stale = [
        found.stale
        for name, found in fetched.items()
        if isinstance(found, HostKey) and found.stale and name not in given
    ]
    failed = [*(found for found in fetched.values() if isinstance(found, Finding)), *stale]
    if failed:
        raise UnreachableError(f"{len(failed)} hosts cannot be reached", findings=tuple(failed))
    keys = {name: found for name, found in fetched.items() if not isinstance(found, Finding)}
    different = tuple(
        findings.key_not_given(name, key.fingerprint, given[name])
        for name, key in keys.items()
        if given.get(name, key.fingerprint) != key.fingerprint
    )
    if different:
        raise UnreachableError("a host shows another key than the one given", findings=different)
    unknown = [
        (host, keys[host.name]) for host in unpinned if not keys[host.name].known and host.name not in given
    ]
    if unknown and confirm is None:
        raise _unconfirmed(unknown, command, single=len(hosts) == 1)
    if unknown and confirm is not None and not confirm(unknown):
        raise InterruptedRunError("nothing was changed")
    return [_pin(host, keys[host.name].line) if host.name in keys else host for host in hosts]


def pin_replacement(
    cluster: Cluster,
    old: Host,
    new: Host,
    given: Mapping[str, str],
    *,
    command: Sequence[str],
    confirm: Confirm | None,
) -> Host:
    """The machine that replaces `old`, with its key: the pinned one if it shows that, else as `pin_host_keys` does."""
    unpinned = new.model_copy(update={"host_key": None})
    if old.host_key and not given:
        shown = fetch_host_keys(cluster, [unpinned])[new.name]
        pinned = " ".join(old.host_key.split()[:2])
        if not isinstance(shown, Finding) and shown.line == pinned:
            return new
    return pin_host_keys(cluster, [unpinned], given, command=command, confirm=confirm)[0]


def _unconfirmed(
    unknown: Sequence[tuple[Host, HostKey]], command: Sequence[str], *, single: bool
) -> UnreachableError:
    options = [key.line if single else f"{host.name}={key.line}" for host, key in unknown]
    accept = shlex.join([*command, *(word for option in options for word in ("--host-key", option))])
    return UnreachableError(
        "host keys are unknown",
        findings=tuple(
            findings.key_unconfirmed(host.name, findings.place(host), key.fingerprint, accept)
            for host, key in unknown
        ),
    )


def _pin(host: Host, key: str | None) -> Host:
    return host.model_copy(update={"host_key": key}) if key else host
