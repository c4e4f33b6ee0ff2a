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
    from provision.providers.kubeadm.operations.tokens import Token, TokenDesk

app = typer.Typer(
    help="Bootstrap tokens of the cluster, for hosts that join by hand. `provision node add` needs none.",
    no_args_is_help=True,
    epilog="Example: provision token create --ttl 15m --print-join-command",
)
_ID = re.compile(r"[a-z0-9]{6}")
_DESCRIPTION = "provision token create"
# Seconds in the units in which the rest of a life is told.
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


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
    """Make a token with which workers can join, and print it: it is told this once.

    Example: provision token create --ttl 15m --print-join-command
    """
    from provision.model.units import seconds_of
    from provision.providers.kubeadm.operations.tokens import join_command
    from provision.providers.kubeadm.steps.role_vars import endpoint
    from provision.report.json_lines import document

    seconds = seconds_of(ttl)
    if seconds is None:
        raise FileError(f"--ttl {ttl}: a length of time up to 365d is needed", fix="write 15m, 2h30m or 1d")
    cluster, seen, desk = _desk(file, verbose=verbose)
    by_hand = cluster.endpoint != "local"
    if print_join_command and not by_hand:
        raise FileError(
            "a host that joins by hand would not have the load balancer that `endpoint: local` keeps on every node",
            fix="`provision node add` makes nodes of hosts here",
        )
    token = desk.create(seconds=seconds, description=_DESCRIPTION)
    authority = seen.hosts[seen.source].kubernetes.ca_hash
    command = join_command(endpoint(cluster), token, authority) if by_hand else None
    if output is Output.JSON:
        print(document({**_told(token, secret=True), "join_command": command}), end="")
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

    _, _, desk = _desk(file, verbose=verbose)
    tokens = desk.list(with_secrets=show_secrets)
    if output is Output.JSON:
        print(document({"tokens": [_told(token, secret=show_secrets) for token in tokens]}), end="")
        return
    head = ("TOKEN" if show_secrets else "ID", "ENDS", "USAGES", "DESCRIPTION")
    rows = [
        (token.text if show_secrets else token.id, _end(token), ",".join(token.usages), token.description)
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
    """Delete tokens: nobody can join with them any more.

    Example: provision token delete abcdef
    """
    from provision.report.json_lines import document

    for token in tokens:
        if not _ID.fullmatch(token):  # a whole token would be in the shell's history; do not repeat it here
            raise FileError(
                "an id of a token has six letters or digits", fix="`provision token list` shows them"
            )
    _, _, desk = _desk(file, verbose=verbose)
    done = {token: desk.delete(token) for token in dict.fromkeys(tokens)}
    if output is Output.JSON:
        print(document({"deleted": [token for token, there in done.items() if there]}), end="")
        return
    for token, there in done.items():
        print(f"{token}: {'deleted' if there else 'was not there'}")


def _desk(file: Path, *, verbose: bool) -> tuple[Cluster, Observation, TokenDesk]:
    """The cluster, what a healthy control plane looks like, and where its tokens are asked for."""
    from provision.config import kubeadm_only, load

    cluster = kubeadm_only(load(file), "provision token").cluster
    from provision.providers.kubeadm.facts.selected import observe_chosen
    from provision.providers.kubeadm.operations.looking import asking
    from provision.providers.kubeadm.operations.tokens import TokenDesk
    from provision.report.console import observation_reporter
    from provision.ssh import Secrets

    emit = observation_reporter(verbose=verbose)
    chosen, password = asking(
        lambda password: observe_chosen(cluster, (), sudo_password=password, emit=emit), None
    )
    seen = chosen.observation
    if seen.cluster is None:
        raise CheckError(
            f"cluster {cluster.name} has no healthy control plane",
            fix=f"provision apply -f {file}",
            findings=chosen.passed,
        )
    return cluster, seen, TokenDesk(cluster, seen.source, Secrets(sudo_password=password))


def _told(token: Token, *, secret: bool) -> dict[str, object]:
    told: dict[str, object] = {
        "id": token.id,
        "expires": token.expires or None,
        "seconds": token.seconds,
        "usages": token.usages,
        "description": token.description,
        "groups": token.groups,
    }
    return {**told, "token": token.text} if secret else told


def _end(token: Token) -> str:
    """`in 14 min (2026-11-21T14:02:11Z)`."""
    left = token.seconds
    if left is None:
        return "never"
    if left <= 0:
        return f"has ended ({token.expires})"
    size, unit = next(
        (size, unit) for size, unit in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min"), (1, "s")) if left >= size
    )
    return f"in {left // size} {unit} ({token.expires})"
