"""Looks at every host at once, in one round trip each. Changes nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from provision import ssh, unreachable
from provision.errors import ProvisionError, UnreachableError
from provision.events import Observed
from provision.kubeadm import facts, probe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provision.events import Emit
    from provision.kubeadm.facts import HostFacts, Observation
    from provision.model import Cluster, Finding, Host


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
    started = time.time()
    chosen = cluster.hosts if hosts is None else tuple(hosts)
    program = ssh.Program((unreachable.PYTHON, *probe.arguments()), probe.source())
    secrets = ssh.Secrets(sudo_password=sudo_password, key_passphrase=key_passphrase)
    seen: dict[str, HostFacts] = {}
    findings: dict[str, Finding] = {}
    for host, result in ssh.run_as_root(cluster, chosen, program, secrets=secrets):
        outcome = _facts(host, result) if isinstance(result, ssh.Answer) else result
        if isinstance(outcome, facts.HostFacts):
            seen[host.name] = outcome
        else:
            findings[host.name] = outcome
        error = "" if isinstance(outcome, facts.HostFacts) else outcome.message
        emit(Observed(host=host.name, seconds=time.time() - started, error=error))
    if findings:
        raise _unreachable([findings[host.name] for host in chosen if host.name in findings], len(chosen))
    return facts.combine({host.name: seen[host.name] for host in chosen}, at=started)


def _facts(host: Host, answer: ssh.Answer) -> HostFacts | Finding:
    try:
        document = probe.document(answer.out.decode(errors="replace"))
        return facts.from_json(host.name, document, began=answer.began, ended=answer.ended)
    except ProvisionError as error:
        return unreachable.not_observed(host.name, error.message)


def _unreachable(findings: Sequence[Finding], total: int) -> UnreachableError:
    if len(findings) == 1:
        return UnreachableError(
            f"{findings[0].where}: {findings[0].message}", fix=findings[0].fix, findings=tuple(findings)
        )
    return UnreachableError(f"{len(findings)} of {total} hosts cannot be used", findings=tuple(findings))
