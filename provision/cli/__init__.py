"""The commands: parse, load, plan, apply, report. The only place where errors become exit codes.

One file per noun; each imports what it needs when it runs, so that `--help` stays fast.
"""

from __future__ import annotations

import itertools
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from provision import __version__
from provision.cli import cluster, eks, file, lab, node, token
from provision.errors import FileError, InterruptedRunError, ProvisionError

app = typer.Typer(
    help="Plain Linux hosts become a Kubernetes cluster with one command.",
    epilog="Start here: provision init kubeadm --control-plane USER@HOST --worker USER@HOST",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(file.init, name="init")
app.command()(cluster.check)
app.command()(cluster.plan)
app.command()(cluster.apply)
app.command()(cluster.status)
app.command()(cluster.kubeconfig)
app.add_typer(node.app, name="node")
app.command()(cluster.reset)
app.command()(file.schema)
app.add_typer(token.app, name="token")
app.add_typer(eks.app, name="eks")
app.add_typer(lab.app, name="lab")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"provision {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Plain Linux hosts become a Kubernetes cluster with one command."""


def main() -> NoReturn:
    """Run the command line and leave with an exit code of DESIGN: 0, 1, 2 (plan), 3, 4, 5, 130."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line and print its error, if any; returns the exit code."""
    try:
        return int(app(list(arguments), prog_name="provision", standalone_mode=False) or 0)
    except BrokenPipeError:  # `provision ... | head`: standard output is closed
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  the one place where errors end
        if isinstance(error, typer.TyperException) and error.message.startswith("Usage:"):
            print(error.message, file=sys.stderr)  # a group without a command: its help is the answer
            return FileError.exit_code
        return _report(_as_provision_error(error, arguments), arguments)


def _as_provision_error(error: BaseException, arguments: Sequence[str]) -> ProvisionError:
    """Any exception as one of `provision.errors`: with an exit code and a fix."""
    if isinstance(error, ProvisionError):
        return error
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        return InterruptedRunError("interrupted")
    if isinstance(error, typer.TyperException):  # what Typer found wrong with the arguments
        message = error.format_message().rstrip(".").replace("Value error, ", "")
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "provision"
        return FileError(message[:1].lower() + message[1:], fix=f"`{command} --help` shows what it takes")
    if {"--verbose", "-v"} & set(arguments):
        traceback.print_exception(error)
    fix = "run it again with --verbose and report what it shows"
    return ProvisionError(f"a fault of provision: {type(error).__name__}: {error}", fix=fix)


def _report(error: ProvisionError, arguments: Sequence[str]) -> int:
    """Print an error, with `-o json` as an event as well; returns its exit code."""
    from provision.report.text import error_text

    if _wants_json(arguments):
        from provision.report.json_lines import error_line

        print(error_line(error), flush=True)
    print(error_text(error), end="", file=sys.stderr)
    return error.exit_code


def _wants_json(arguments: Sequence[str]) -> bool:
    pairs = itertools.pairwise(arguments)
    return any(pair in {("-o", "json"), ("--output", "json")} for pair in pairs) or bool(
        {"-ojson", "--output=json"} & set(arguments)
    )
