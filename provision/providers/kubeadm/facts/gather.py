"""Looks at every host at once, in one round trip each. Changes nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from provision import ssh
from provision.engine.events import Observed
from provision.errors import ProvisionError, UnreachableError
from provision.providers.kubeadm import host_programs
from provision.providers.kubeadm.facts import host as facts
from provision.ssh.findings import PYTHON, not_observed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provision.engine.events import Emit
    from provision.model.cluster import Cluster, Host
    from provision.model.plan import Finding
    from provision.providers.kubeadm.facts.host import HostFacts, Observation


def observe(
    cluster: Cluster,
    *,
    hosts: Sequence[Host] | None = None,
    sudo_password: str | None = None,
    key_passphrase: str | None = None,
    emit: Emit,
) -> Observation:
    """Observe `hosts` (all of the file by default) and, through them, the cluster; emits one Observed per host.

    Raises UnreachableError with a finding for every host that could not be observed. Of these findings
    `sudo-password`, `sudo-password-wrong` and `ssh-key-passphrase` can be helped by asking and calling again.
    """
    chosen = cluster.hosts if hosts is None else tuple(hosts)
    started = time.time()
    seen, findings = visit(
        cluster, chosen, sudo_password=sudo_password, key_passphrase=key_passphrase, emit=emit
    )
    if findings:
        raise unreachable_error(findings, len(chosen))
    return facts.combine(seen, at=started)


def visit(
    cluster: Cluster,
    hosts: Sequence[Host],
    *,
    sudo_password: str | None = None,
    key_passphrase: str | None = None,
    emit: Emit,
) -> tuple[dict[str, HostFacts], tuple[Finding, ...]]:
    """The facts of each of `hosts` that could be observed, and a finding for each other one, in their order.

    Raises UnreachableError if the key file or the bastion is of no use, for then no host can be reached.
    """
    started = time.time()
    command = ssh.Command((PYTHON, *host_programs.probe_arguments()), host_programs.probe_source())
    secrets = ssh.Secrets(sudo_password=sudo_password, key_passphrase=key_passphrase)
    seen: dict[str, HostFacts] = {}
    findings: dict[str, Finding] = {}
    for host, result in ssh.run_as_root(cluster, hosts, command, secrets=secrets):
        outcome = _facts(host, result) if isinstance(result, ssh.CommandResult) else result
        if isinstance(outcome, facts.HostFacts):
            seen[host.name] = outcome
        else:
            findings[host.name] = outcome
        error = "" if isinstance(outcome, facts.HostFacts) else outcome.message
        emit(Observed(host=host.name, seconds=time.time() - started, error=error))
    return (
        {host.name: seen[host.name] for host in hosts if host.name in seen},
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
        return UnreachableError(
            f"{findings[0].where}: {findings[0].message}", fix=findings[0].fix, findings=tuple(findings)
        )
    return UnreachableError(f"{len(findings)} of {total} hosts cannot be used", findings=tuple(findings))
