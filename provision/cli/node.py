"""`provision node`: edit the file and apply just that."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from provision.cli.options import (
    DEFAULT_FILE,
    FileOption,
    Output,
    OutputOption,
    VerboseOption,
    YesOption,
)
from provision.errors import FileError, UnreachableError
from provision.model.plan import DRAIN_SECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provision.config import Loaded
    from provision.model.cluster import Cluster

app = typer.Typer(
    help="Add, remove, replace and list nodes; the file is edited to match.", no_args_is_help=True
)

HostKeyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--host-key",
        help="Public SSH host key or its SHA256 fingerprint; NAME=KEY with several hosts. Repeatable.",
        metavar="KEY",
    ),
]
SmokeOption = Annotated[
    bool, typer.Option("--smoke/--no-smoke", help="Prove at the end that pods and Services work there.")
]


@app.command()
def add(
    hosts: Annotated[list[str], typer.Argument(metavar="NAME [USER@]ADDRESS[:PORT] ...")],
    role: Annotated[
        Literal["worker", "control-plane"] | None,
        typer.Option(help="Role of all these hosts; worker if none."),
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option("--label", help="Node label KEY=VALUE. Repeatable.")
    ] = None,
    taint: Annotated[
        list[str] | None, typer.Option("--taint", help="Node taint KEY=VALUE:EFFECT. Repeatable.")
    ] = None,
    host_key: HostKeyOption = None,
    smoke: SmokeOption = True,
    yes: YesOption = False,
    verbose: VerboseOption = False,
    file: FileOption = DEFAULT_FILE,
    output: OutputOption = Output.TEXT,
) -> None:
    """Add hosts to the file and join them; only they and one control plane are contacted.

    Example: provision node add w3 ubuntu@10.0.0.23 w4 ubuntu@10.0.0.24 --label disk=ssd
    """
    loaded = _editable(file, "node add")
    from provision.cli.interaction import confirmation, run_operation
    from provision.config.edit import add_hosts, host_arguments, load_edited
    from provision.providers.kubeadm.operations.nodes import AddNodes
    from provision.ssh.trust import pin_host_keys

    destinations = host_arguments.parse_hosts(hosts)
    wanted = host_arguments.resolve_hosts(
        loaded.cluster, destinations, role=role, labels=label or (), taints=taint or ()
    )
    command = [
        "provision",
        "node",
        "add",
        *hosts,
        *(word for text in ([role] if role else ()) for word in ("--role", text)),
        *(word for text in label or () for word in ("--label", text)),
        *(word for text in taint or () for word in ("--taint", text)),
        *([] if smoke else ["--no-smoke"]),
        *_file_words(file),
    ]
    new = pin_host_keys(
        loaded.cluster,
        [host for host in wanted if host not in loaded.cluster.hosts],
        host_arguments.parse_host_keys(host_key or (), list(destinations)),
        command=command,
        confirm=confirmation(yes=yes, output=output),
    )
    edit = add_hosts(new)
    operation = AddNodes(
        loaded=load_edited(file, edit),
        names=tuple(destinations),
        command=shlex.join(command),
        edit=edit,
        smoke=smoke,
    )
    run_operation(operation, yes=yes, verbose=verbose, output=output)


@app.command()
def remove(
    names: Annotated[list[str], typer.Argument(metavar="NAME ...")],
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="The machine may be gone; pods without a controller are deleted.",
        ),
    ] = False,
    drain_timeout: Annotated[
        int, typer.Option(help="Seconds in which all pods have to be gone.", min=10)
    ] = DRAIN_SECONDS,
    yes: YesOption = False,
    verbose: VerboseOption = False,
    file: FileOption = DEFAULT_FILE,
    output: OutputOption = Output.TEXT,
) -> None:
    """Drain nodes, delete them from the cluster, reset their machines, and take them out of the file.

    Example: provision node remove w3
    """
    loaded = _editable(file, "node remove")
    from provision.cli.interaction import run_operation
    from provision.providers.kubeadm.operations.nodes import RemoveNodes

    waits = () if drain_timeout == DRAIN_SECONDS else ("--drain-timeout", str(drain_timeout))
    words = ["provision", "node", "remove", *names, *(["--force"] * force), *waits, *_file_words(file)]
    operation = RemoveNodes(
        loaded=loaded,
        names=tuple(dict.fromkeys(names)),
        command=shlex.join(words),
        force=force,
        drain_seconds=drain_timeout,
    )
    run_operation(operation, yes=yes, verbose=verbose, output=output)


@app.command()
def replace(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    place: Annotated[str | None, typer.Argument(metavar="[[USER@]ADDRESS[:PORT]]")] = None,
    host_key: HostKeyOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="The old machine is off for good, whatever the cluster believes.")
    ] = False,
    smoke: SmokeOption = True,
    yes: YesOption = False,
    verbose: VerboseOption = False,
    file: FileOption = DEFAULT_FILE,
    output: OutputOption = Output.TEXT,
) -> None:
    """Give a node another machine, or the same one reinstalled, under its old name with its labels and taints.

    Example: provision node replace w3 ubuntu@10.0.0.33
    """
    loaded = _editable(file, "node replace")
    from provision.cli.interaction import confirmation, run_operation
    from provision.config.edit import change_host, host_arguments, load_edited
    from provision.providers.kubeadm.operations.nodes import ReplaceNode
    from provision.ssh.trust import pin_replacement

    try:
        old = loaded.cluster.host(name)
    except KeyError:
        raise FileError(
            f"{file} has no host {name}",
            fix=f"hosts: {', '.join(host.name for host in loaded.cluster.hosts)}",
        ) from None
    destination = host_arguments.parse_destination(place) if place else None
    options = [*(["--force"] * force), *([] if smoke else ["--no-smoke"]), *_file_words(file)]
    command = ["provision", "node", "replace", name, *([place] if place else []), *options]
    moved = host_arguments.move_host(loaded.cluster, old, destination)
    given = host_arguments.parse_host_keys(host_key or (), [name])
    fresh = pin_replacement(
        loaded.cluster, old, moved, given, command=command, confirm=confirmation(yes=yes, output=output)
    )
    values = {key: getattr(fresh, key) for key in ("address", "port", "user", "host_key")}
    edit = change_host(name, {key: value for key, value in values.items() if value != getattr(old, key)})
    operation = ReplaceNode(
        loaded=load_edited(file, edit),
        names=(name,),
        command=shlex.join(command),
        before=loaded.cluster,
        edit=edit,
        smoke=smoke,
        force=force,
    )
    run_operation(operation, yes=yes, verbose=verbose, output=output)


@app.command(name="list")
def list_(
    file: FileOption = DEFAULT_FILE, output: OutputOption = Output.TEXT, verbose: VerboseOption = False
) -> None:
    """List hosts and nodes as one healthy control plane sees them; works while other hosts are down.

    Example: provision node list -o json
    """
    from provision.cli.interaction import Terminal
    from provision.providers import load_provider
    from provision.report.json_lines import document
    from provision.report.tables import node_list_text
    from provision.report.text import findings_text

    terminal = Terminal(verbose=verbose)
    with terminal.reporting_observation():
        nodes, unanswered = load_provider(file).list_nodes(terminal)
    print(document(nodes) if output is Output.JSON else node_list_text(nodes), end="")
    if unanswered is None:
        return
    print(findings_text(unanswered), end="", file=sys.stderr)
    print("no control plane answers: only the hosts of the file are known", file=sys.stderr)
    raise typer.Exit(UnreachableError.exit_code)


def _editable(file: Path, what: str) -> Loaded[Cluster]:
    """The file, if its hosts can be edited; it is read before anything slow is imported. Raises FileError."""
    from provision.config import kubeadm_only, load
    from provision.config.edit import refuse_inventory

    loaded = kubeadm_only(load(file), what)
    refuse_inventory(loaded, what)
    return loaded


def _file_words(file: Path) -> Sequence[str]:
    return () if file == DEFAULT_FILE else ("-f", str(file))
