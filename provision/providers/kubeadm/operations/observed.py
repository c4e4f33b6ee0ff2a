"""Observe the hosts of an operation, and ask for the password of sudo where only that is missing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from provision.errors import UnreachableError
from provision.providers.kubeadm.facts.gather import SelectedObservation, observe, observe_selected

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from provision.engine.events import Emit
    from provision.engine.operation import Interaction
    from provision.model.cluster import Cluster, Host
    from provision.model.plan import Finding
    from provision.providers.kubeadm.facts.host import Observation

T = TypeVar("T")
_TRIES = 3
_PASSWORD_CHECKS = ("sudo-password", "sudo-password-wrong")


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What an operation observed.

    `unreachable` says for each host that could not be observed why. `passed_over` are findings about control planes
    that were tried before a healthy one. `sudo_password` had to be asked for; it is kept in memory, for this run.
    """

    observation: Observation
    unreachable: Mapping[str, Finding] = field(default_factory=dict)
    passed_over: tuple[Finding, ...] = ()
    sudo_password: str | None = field(default=None, repr=False)


def observe_all(
    cluster: Cluster,
    emit: Emit,
    interaction: Interaction,
    previous: Observed | None,
    *,
    skip_unreachable: bool = False,
) -> Observed:
    """Observe every host of the file; with `skip_unreachable` without those that cannot be observed.

    Raises UnreachableError with a finding per host if one cannot be observed, or with `skip_unreachable` if none can.
    """

    def gather(hosts: Sequence[Host] | None, password: str | None) -> tuple[Observation, str | None]:
        return ask_sudo_password(
            lambda tried: observe(cluster, hosts=hosts, sudo_password=tried, emit=emit), interaction, password
        )

    password = previous.sudo_password if previous else None
    unreachable: dict[str, Finding] = {}
    try:
        observation, password = gather(None, password)
    except UnreachableError as error:
        unreachable = {finding.where: finding for finding in error.findings}
        remaining = [host for host in cluster.hosts if host.name not in unreachable]
        if not skip_unreachable or not remaining or len(remaining) == len(cluster.hosts):
            raise
        observation, password = gather(remaining, password)
    return Observed(observation=observation, unreachable=unreachable, sudo_password=password)


def observe_some(
    cluster: Cluster,
    names: Collection[str],
    emit: Emit,
    interaction: Interaction,
    previous: Observed | None,
    *,
    must_answer: Collection[str],
    not_through: Collection[str],
) -> Observed:
    """Observe the hosts of these names and one healthy control plane that is not among `not_through`.

    Raises UnreachableError if one of `must_answer` or every control plane does not answer.
    """

    def gather(password: str | None) -> SelectedObservation:
        return observe_selected(cluster, names, not_through=not_through, sudo_password=password, emit=emit)

    selected, password = ask_sudo_password(gather, interaction, previous.sudo_password if previous else None)
    silent = [finding for name, finding in selected.unreachable.items() if name in must_answer]
    if selected.observation.cluster is None:
        silent += [finding for finding in selected.passed_over if finding not in silent]
    if silent or selected.observation.cluster is None:
        message = "hosts cannot be used" if silent else f"cluster {cluster.name} has no other control plane"
        raise UnreachableError(message, fix="`provision status` shows the cluster", findings=tuple(silent))
    return Observed(
        observation=selected.observation,
        unreachable=selected.unreachable,
        passed_over=selected.passed_over,
        sudo_password=password,
    )


def ask_sudo_password(
    gather: Callable[[str | None], T], interaction: Interaction, password: str | None = None
) -> tuple[T, str | None]:
    """The result of `gather` for a password of sudo, and that password; asked for where only it is missing.

    Raises what `gather` raises.
    """
    for _ in range(_TRIES):
        try:
            return gather(password), password
        except UnreachableError as error:
            helps = error.findings and all(finding.check in _PASSWORD_CHECKS for finding in error.findings)
            first = error.findings[0] if helps else None
            answer = interaction.ask_password(f"{first.where}: {first.message}") if first else None
            if answer is None:
                raise
            password = answer
    return gather(password), password
