"""Looks at some hosts and, for the cluster, at one healthy control plane, whichever that is. Changes nothing."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from provision.model.plan import Finding
from provision.providers.kubeadm.facts import host as facts
from provision.providers.kubeadm.facts.etcd import silence
from provision.providers.kubeadm.facts.gather import unreachable_error, visit

if TYPE_CHECKING:
    from provision.engine.events import Emit
    from provision.model.cluster import Cluster
    from provision.providers.kubeadm.facts.host import HostFacts

# A password has to be asked for before anything can be said of these hosts.
_ASKED_FOR = ("sudo-password", "sudo-password-wrong", "ssh-key-passphrase")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What was seen of the chosen hosts and of the control plane that speaks for the cluster (`observation.source`).

    `absent` says for each chosen host that did not answer why, `passed` the same of control planes that were tried
    before one was healthy, or of all of them where none is: then `observation.cluster` is None.
    """

    observation: facts.Observation
    absent: Mapping[str, Finding]
    passed: tuple[Finding, ...]


def observe_chosen(
    cluster: Cluster,
    names: Collection[str],
    *,
    not_through: Collection[str] = (),
    sudo_password: str | None = None,
    emit: Emit,
) -> Chosen:
    """Observe the hosts of these names and the first healthy control plane in the file's order.

    The first candidate is visited together with the chosen hosts, each further one only when those before it do not
    answer. `not_through` are control planes that come or leave, and so cannot speak for the cluster.
    Raises UnreachableError if no host can be reached at all, or a password is missing.
    """
    started = time.time()
    candidates = [host for host in cluster.control_planes if host.name not in not_through]
    round_ = [host for host in cluster.hosts if host.name in names]
    if candidates and not any(host in round_ for host in candidates):
        round_.append(candidates[0])
    seen: dict[str, HostFacts] = {}
    missing: dict[str, Finding] = {}
    source = ""
    while round_:
        found, findings = visit(cluster, round_, sudo_password=sudo_password, emit=emit)
        asked = [finding for finding in findings if finding.check in _ASKED_FOR]
        if asked:
            raise unreachable_error(asked, len(round_))
        seen.update(found)
        missing.update({finding.where: finding for finding in findings})
        source = next((host.name for host in candidates if _speaks(seen.get(host.name))), "")
        tried = seen.keys() | missing.keys()
        round_ = [] if source else [host for host in candidates if host.name not in tried][:1]
    kept = {
        host.name: seen[host.name] for host in cluster.hosts if host.name in {*names, source} & seen.keys()
    }
    observation = facts.Observation(
        hosts=kept, cluster=kept[source].api if source else None, source=source, at=started
    )
    tried_in_vain = [host.name for host in candidates if host.name in {*seen, *missing} - {source}]
    return Chosen(
        observation=observation,
        absent={name: finding for name, finding in missing.items() if name in names},
        passed=tuple(_why_not(name, seen, missing) for name in tried_in_vain if not _speaks(seen.get(name))),
    )


def _speaks(host: HostFacts | None) -> bool:
    return host is not None and host.speaks


def _why_not(name: str, seen: Mapping[str, HostFacts], missing: Mapping[str, Finding]) -> Finding:
    """Why a control plane cannot be worked through."""
    if name in missing:
        return missing[name]
    api = seen[name].api
    if api is None:
        message, fix = "it is no control plane yet", "`provision apply` makes it one"
    elif seen[name].kubernetes.reset_interrupted:
        message, fix = "its reset was interrupted", f"let it come to its end: `provision reset {name}`"
    elif not api.error:
        message, fix = "its join was interrupted", "`provision apply` begins it anew"
    else:
        message = f"its API server does not answer: {silence(seen[name])}"
        fix = "`sudo crictl ps -a` and `sudo journalctl -u kubelet` there say why; after a reboot it takes a minute"
    return Finding(severity="error", check="api-server-silent", where=name, message=message, fix=fix)
