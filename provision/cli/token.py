"""`provision token`: bootstrap tokens, with which hosts join by hand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from provision.cli.options import DEFAULT_FILE, FileOption, Output, OutputOption, VerboseOption
from provision.errors import CheckError, FileError

if TYPE_CHECKING:
    from provision.model.cluster import Cluster
    from provision.providers.kubeadm.facts.host import Observation
    from provision.providers.kubeadm.operations.tokens import TokenClient

app = typer.Typer(
    help="Bootstrap tokens of the cluster, for hosts that join by hand. `provision node add` needs none.",
    no_args_is_help=True,
    epilog="Example: provision token create --ttl 15m --print-join-command",
)
_ID = re.compile(r"[a-z0-9]{6}")
_DESCRIPTION = "provision token create"


@app.command()
def create(
    ttl: Annotated[
        str, typer.Option("--ttl", help="How long it lives, for example 15m or 2h30m.", metavar="DURATION")
    ] = "15m",
    print_join_command: Annotated[
        bool, typer.Option("--print-join-command", help="Print what makes a worker of a prepared host.")
    ] = False,
    file: FileOption = DEFAULT_FILE,
    output: OutputOption = Output.TEXT,
    verbose: VerboseOption = False,
) -> None:
    """Create a token with which workers can join, and print it; it is shown only once.

    Example: provision token create --ttl 15m --print-join-command
    """
    from provision.model.units import seconds_of
    from provision.providers.kubeadm.operations.tokens import join_command
    from provision.providers.kubeadm.steps.role_vars import endpoint
    from provision.report.json_lines import document

    seconds = seconds_of(ttl)
    if seconds is None:
        raise FileError(f"--ttl {ttl}: a length of time up to 365d is needed", fix="write 15m, 2h30m or 1d")
    cluster, observation, client = _connect(file, verbose=verbose)
    by_hand = cluster.endpoint != "local"
    if print_join_command and not by_hand:
        raise FileError(
            "a host that joins by hand would not have the load balancer that `endpoint: local` keeps on every node",
            fix="`provision node add` makes nodes of hosts here",
        )
    token = client.create(seconds=seconds, description=_DESCRIPTION)
    authority = observation.hosts[observation.source].kubernetes.ca_hash
    command = join_command(endpoint(cluster), token, authority) if by_hand else None
    if output is Output.JSON:
        print(document({**token.to_json(secret=True), "join_command": command}), end="")
    else:
        print(command if print_join_command else token.text)


@app.command(name="list")
def list_tokens(
    show_secrets: Annotated[
        bool, typer.Option("--show-secrets", help="Whole tokens, not only their ids.")
    ] = False,
    file: FileOption = DEFAULT_FILE,
    output: OutputOption = Output.TEXT,
    verbose: VerboseOption = False,
) -> None:
    """Show the tokens that there are: id, when each ends, what it is for. Never the secret, unless asked.

    Example: provision token list -o json
    """
    from provision.report.json_lines import document
    from provision.report.text import table

    _, _, client = _connect(file, verbose=verbose)
    tokens = client.list(with_secrets=show_secrets)
    if output is Output.JSON:
        print(document({"tokens": [token.to_json(secret=show_secrets) for token in tokens]}), end="")
        return
    head = ("TOKEN" if show_secrets else "ID", "ENDS", "USAGES", "DESCRIPTION")
    rows = [
        (token.text if show_secrets else token.id, token.remaining, ",".join(token.usages), token.description)
        for token in tokens
    ]
    print(table(head, rows) if rows else "there is no token\n", end="")


@app.command()
def delete(
    tokens: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids, as `list` shows them.")],
    file: FileOption = DEFAULT_FILE,
    output: OutputOption = Output.TEXT,
    verbose: VerboseOption = False,
) -> None:
    """Delete tokens, so that no host can join with them any more.

    Example: provision token delete abcdef
    """
    from provision.report.json_lines import document

    for token in tokens:
        if not _ID.fullmatch(token):  # a whole token would be in the shell's history; do not repeat it here
            raise FileError(
                "an id of a token has six letters or digits", fix="`provision token list` shows them"
            )
    _, _, client = _connect(file, verbose=verbose)
    done = {token: client.delete(token) for token in dict.fromkeys(tokens)}
    if output is Output.JSON:
        print(document({"deleted": [token for token, there in done.items() if there]}), end="")
        return
    for token, there in done.items():
        print(f"{token}: {'deleted' if there else 'was not there'}")


def _connect(file: Path, *, verbose: bool) -> tuple[Cluster, Observation, TokenClient]:
    """The cluster, its observation by a healthy control plane, and the client for its tokens."""
    from provision.config import kubeadm_only, load

    cluster = kubeadm_only(load(file), "provision token").cluster
    from provision.cli.interaction import Terminal
    from provision.providers.kubeadm.facts.gather import observe_selected
    from provision.providers.kubeadm.operations.observed import ask_sudo_password
    from provision.providers.kubeadm.operations.tokens import TokenClient
    from provision.ssh import Secrets

    terminal = Terminal(verbose=verbose)
    with terminal.reporting_observation():
        selected, password = ask_sudo_password(
            lambda tried: observe_selected(cluster, (), sudo_password=tried, emit=terminal.emit), terminal
        )
    observation = selected.observation
    if observation.cluster is None:
        raise CheckError(
            f"cluster {cluster.name} has no healthy control plane",
            fix=f"provision apply -f {file}",
            findings=selected.passed_over,
        )
    client = TokenClient(cluster, observation.source, Secrets(sudo_password=password))
    return cluster, observation, client
