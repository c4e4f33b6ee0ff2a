"""Send one request to the agent on a control plane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from provision import ssh
from provision.errors import ProvisionError, UnreachableError
from provision.providers.kubeadm import host_programs
from provision.ssh.findings import PYTHON

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provision.model.cluster import Cluster

_SECONDS = 60


def request(
    cluster: Cluster, through: str, message: Mapping[str, object], *, secrets: ssh.Secrets
) -> dict[str, Any]:
    """The agent's answer. Raises UnreachableError, or ProvisionError if the API server refuses."""
    host = cluster.host(through)
    program = ssh.Command((PYTHON, *host_programs.agent_arguments()), host_programs.agent_source(message))
    ((_, result),) = ssh.run_as_root(cluster, [host], program, secrets=secrets, seconds=_SECONDS)
    if not isinstance(result, ssh.CommandResult):
        raise UnreachableError(f"{host.name}: {result.message}", fix=result.fix, findings=(result,))
    answers = [host_programs.agent_answer(line) for line in result.out.splitlines()]
    nothing: dict[str, object] = {"problem": "the agent did not answer"}
    answer = next((found for found in answers if found is not None), nothing)
    if "problem" in answer:
        raise ProvisionError(
            f"{host.name}: its API server refused: {answer['problem']}",
            fix="`provision status` shows the state of the cluster",
        )
    return answer
