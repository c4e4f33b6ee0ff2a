"""How a run reaches the person or program that started it: a terminal, or JSON lines on standard output."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import typer

from provision.cli.options import Output
from provision.engine.operation import RunRecord
from provision.errors import FileError, InterruptedRunError
from provision.report.console import observation_reporter, run_reporter
from provision.report.tables import outcome_text
from provision.report.text import findings_text, plan_text, warning_text

if TYPE_CHECKING:
    from provision.engine.events import Emit, Event
    from provision.engine.operation import Description, Operation
    from provision.model.cluster import Host
    from provision.model.costs import Estimate
    from provision.model.plan import Finding, Plan
    from provision.ssh.host_keys import HostKey
    from provision.ssh.trust import Confirm

_CLOSED = (errno.EPIPE, errno.EIO)


@dataclass(slots=True)
class Terminal:
    """Implements `provision.engine.operation.Interaction`.

    `yes`: confirm nothing. `phrase`: what has to be typed as a yes. `json`: events go to standard output as JSON
    lines, and no question is asked.
    """

    verbose: bool = False
    yes: bool = False
    json: bool = False
    phrase: str = ""
    _observers: list[Emit] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.json:
            from provision.report.json_lines import JsonLines

            self._observers.append(JsonLines(sys.stdout))

    def emit(self, event: Event) -> None:
        for observer in tuple(self._observers):
            try:
                observer(event)
            except OSError as error:
                if error.errno not in _CLOSED:
                    raise
                # A closed terminal or pipe is no reason to stop in the middle: the journal has the rest.
                self._observers.remove(observer)

    def warn(self, message: str) -> None:
        print(f"warning: {message}", file=sys.stderr)

    def inform(self, message: str) -> None:
        print(message, file=sys.stderr)

    def ask_password(self, reason: str) -> str | None:
        if not sys.stdin.isatty():
            return None
        print(reason, file=sys.stderr)
        password: str = typer.prompt("password for sudo on the hosts", hide_input=True, err=True)
        return password

    @contextmanager
    def observing(self, description: Description) -> Iterator[None]:
        if self.json:
            yield
            return
        print(f"observing {description.subject}", file=sys.stderr)
        with self.reporting_observation():
            yield

    @contextmanager
    def reporting_observation(self) -> Iterator[None]:
        """Report each observed host, with `verbose`."""
        reporter = observation_reporter(verbose=self.verbose)
        self._observers.append(reporter)
        yield
        self._observers.remove(reporter)

    def show_findings(self, findings: tuple[Finding, ...]) -> None:
        if not self.json:
            print(findings_text(findings), end="", file=sys.stderr)

    def confirm(self, description: Description, plan: Plan, warnings: tuple[str | Estimate, ...]) -> bool:
        if not self.json:
            shown = plan_text(description.cluster, plan) + "".join(map(warning_text, warnings))
            print(shown, file=sys.stderr)
        if self.yes:
            return False
        if self.json or not sys.stdin.isatty():
            raise FileError(
                "nothing is changed without a confirmation, and there is no terminal to ask for it on",
                fix="add --yes",
            )
        if self.phrase:
            prompt = f"type {self.phrase} to go on"
            agreed = typer.prompt(prompt, err=True, default="", show_default=False) == self.phrase
        else:
            steps = "this step" if len(plan) == 1 else f"these {len(plan)} steps"
            agreed = typer.confirm(f"run {steps}?", err=True)
        if not agreed:
            raise InterruptedRunError("nothing was changed")
        return True

    @contextmanager
    def running(self, description: Description) -> Iterator[RunRecord]:
        from provision.report.journal import Journal

        before = tuple(self._observers)
        with ExitStack() as stack:
            journal = stack.enter_context(Journal(description.cluster))
            self._observers.append(journal)
            if not self.json:
                self._observers.append(stack.enter_context(run_reporter(verbose=self.verbose)))
            yield RunRecord(journal.run, journal.path)
            self._observers[:] = before

    def nothing_to_do(self, description: Description) -> None:
        if not self.json:
            print(f"cluster {description.cluster}: nothing to do")


def run_operation(
    operation: Operation[Any, Any], *, yes: bool, verbose: bool, output: Output, phrase: str = ""
) -> None:
    """Run an operation and print how it ended; `phrase` is what has to be typed as a yes."""
    from provision.engine.run import run

    terminal = Terminal(yes=yes, verbose=verbose, json=output is Output.JSON, phrase=phrase)
    outcome = run(operation, terminal)
    if not terminal.json:
        print(outcome_text(outcome), end="")


def confirmation(*, yes: bool, output: Output) -> Confirm | None:
    """How to confirm host keys; None without a terminal. `--yes` does not confirm a key."""
    return confirm_host_keys if sys.stdin.isatty() and not yes and output is Output.TEXT else None


def confirm_host_keys(keys: Sequence[tuple[Host, HostKey]]) -> bool:
    """Show unknown host keys on standard error and ask whether to pin them."""
    from provision.ssh.findings import SHOW_FINGERPRINT, place

    for host, key in keys:
        print(
            f"{host.name} ({place(host)}) shows the host key {key.type} {key.fingerprint}",
            file=sys.stderr,
        )
    print(f"  `{SHOW_FINGERPRINT}` on the machine's own console must print the same", file=sys.stderr)
    return typer.confirm("is that right, and to be pinned in the file?", err=True)
