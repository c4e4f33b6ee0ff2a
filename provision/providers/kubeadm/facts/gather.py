"""Gather the facts of hosts, all at once and in one round trip each, and of the cluster by a healthy control plane."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from provision import ssh
from provision.engine.events import Observed
from provision.errors import ProvisionError, UnreachableError
from provision.model.plan import Finding
from provision.providers.kubeadm import host_programs
from provision.providers.kubeadm.facts import host as facts
from provision.providers.kubeadm.facts.etcd import silence
from provision.providers.kubeadm.facts.host import Observation
from provision.ssh.findings import PYTHON, not_observed, unreachable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from provision.engine.events import Emit
    from provision.model.cluster import Cluster, Host
    from provision.providers.kubeadm.facts.host import HostFacts

# These hosts can only be observed with a password.
_PASSWORD_CHECKS = ("sudo-password", "sudo-password-wrong", "ssh-key-passphrase")


def observe(
    cluster: Cluster,
    *,
    hosts: Sequence[Host] | None = None,
    sudo_password: str | None = None,
    emit: Emit,
) -> Observation:
    """Observe `hosts` (all of the file by default) and, through them, the cluster; emits one Observed per host.

    Raises UnreachableError with a finding for every host that could not be observed. Of these findings
    `sudo-password` and `sudo-password-wrong` can be helped by asking and calling again.
    """
    chosen = cluster.hosts if hosts is None else tuple(hosts)
    started = time.time()
    gathered, findings = gather_facts(cluster, chosen, sudo_password=sudo_password, emit=emit)
    if findings:
        raise unreachable_error(findings, len(chosen))
    return facts.combine(gathered, at=started)


def gather_facts(
    cluster: Cluster,
    hosts: Sequence[Host],
    *,
    sudo_password: str | None = None,
    emit: Emit,
) -> tuple[dict[str, HostFacts], tuple[Finding, ...]]:
    """The facts of each of `hosts` that could be observed, and a finding for each other one, in their order.

    Raises UnreachableError if the key file or the bastion is of no use, for then no host can be reached.
    """
    started = time.time()
    command = ssh.Command((PYTHON, *host_programs.probe_arguments()), host_programs.probe_source())
    secrets = ssh.Secrets(sudo_password=sudo_password)
    gathered: dict[str, HostFacts] = {}
    findings: dict[str, Finding] = {}
    for host, result in ssh.run_as_root(cluster, hosts, command, secrets=secrets):
        outcome = _facts(host, result) if isinstance(result, ssh.CommandResult) else result
        if isinstance(outcome, facts.HostFacts):
            gathered[host.name] = outcome
        else:
            findings[host.name] = outcome
        error = "" if isinstance(outcome, facts.HostFacts) else outcome.message
        emit(Observed(host=host.name, seconds=time.time() - started, error=error))
    return (
        {host.name: gathered[host.name] for host in hosts if host.name in gathered},
        tuple(findings[host.name] for host in hosts if host.name in findings),
    )


def _facts(host: Host, result: ssh.CommandResult) -> HostFacts | Finding:
    try:
        document = host_programs.probe_document(result.out.decode(errors="replace"))
        return facts.from_json(host.name, document, began=result.began, ended=result.ended)
    except ProvisionError as error:
        return not_observed(host.name, error.message)


def unreachable_error(findings: Sequence[Finding], total: int) -> UnreachableError:
    """The error about hosts, of `total`, that cannot be used."""
    if len(findings) == 1:
        return unreachable(findings[0])
    return UnreachableError(f"{len(findings)} of {total} hosts cannot be used", findings=tuple(findings))


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectedObservation:
    """Selected hosts, hosts whose firewalls have to know of them, and the control plane `observation.source`.

    The cluster was observed by that one.

    `unreachable` says why a selected host could not be observed; `passed_over` the same of control planes that were
    tried before a healthy one, or of all of them where none is healthy: then `observation.cluster` is None.
    """

    observation: Observation
    unreachable: Mapping[str, Finding]
    passed_over: tuple[Finding, ...]


def observe_selected(
    cluster: Cluster,
    names: Collection[str],
    *,
    not_through: Collection[str] = (),
    sudo_password: str | None = None,
    emit: Emit,
) -> SelectedObservation:
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
    gathered: dict[str, HostFacts] = {}
    missing: dict[str, Finding] = {}
    source = ""
    while round_:
        found, findings = gather_facts(cluster, round_, sudo_password=sudo_password, emit=emit)
        asked = [finding for finding in findings if finding.check in _PASSWORD_CHECKS]
        if asked:
            raise unreachable_error(asked, len(round_))
        gathered.update(found)
        missing.update({finding.where: finding for finding in findings})
        source = next((host.name for host in candidates if _is_healthy(gathered.get(host.name))), "")
        tried = gathered.keys() | missing.keys()
        round_ = [] if source else [host for host in candidates if host.name not in tried][:1]
    guarded = _others_with_firewall(cluster, gathered, source)
    if guarded:
        found, findings = gather_facts(cluster, guarded, sudo_password=sudo_password, emit=emit)
        gathered.update(found)
        missing.update({finding.where: finding for finding in findings})
    chosen = {*names, source, *(host.name for host in guarded)}
    kept = {host.name: gathered[host.name] for host in cluster.hosts if host.name in chosen & gathered.keys()}
    observation = Observation(
        hosts=kept, cluster=kept[source].api if source else None, source=source, at=started
    )
    tried_in_vain = [host.name for host in candidates if host.name in {*gathered, *missing} - {source}]
    return SelectedObservation(
        observation=observation,
        unreachable={name: finding for name, finding in missing.items() if name in chosen - {source}},
        passed_over=tuple(
            _why_not(name, gathered, missing) for name in tried_in_vain if not _is_healthy(gathered.get(name))
        ),
    )


def _others_with_firewall(cluster: Cluster, gathered: Mapping[str, HostFacts], source: str) -> list[Host]:
    """Hosts that were not observed and that the control plane `source` has noted to have a firewall.

    They let in members only, so each has to know of a node that comes or leaves.
    """
    noted = gathered[source].firewall.noted if source else None
    names = noted.get("hosts", ()) if noted and cluster.firewall.managed else ()
    return [host for host in cluster.hosts if host.name in names and host.name not in gathered]


def _is_healthy(host: HostFacts | None) -> bool:
    return host is not None and host.is_healthy


def _why_not(name: str, gathered: Mapping[str, HostFacts], missing: Mapping[str, Finding]) -> Finding:
    if name in missing:
        return missing[name]
    api = gathered[name].api
    if api is None:
        message, fix = "it is no control plane yet", "`provision apply` makes it one"
    elif gathered[name].kubernetes.reset_interrupted:
        message, fix = "its reset was interrupted", f"let it come to its end: `provision reset {name}`"
    elif not api.error:
        message, fix = "its join was interrupted", "`provision apply` starts it again"
    else:
        message = f"its API server does not answer: {silence(gathered[name])}"
        fix = "`sudo crictl ps -a` and `sudo journalctl -u kubelet` there say why; after a reboot it takes a minute"
    return Finding.error("api-server-silent", name, message, fix)
