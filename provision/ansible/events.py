"""Events of ansible-runner, translated to events of a run."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from provision.ansible.failure_causes import likely_cause
from provision.engine.events import Emit, HostFailed, Note, TaskFinished, TaskStarted
from provision.redact import redact

_SPEC_CHECK = "Validating arguments against arg spec"
_LINES = 15


class Listener:
    """Translate the events of one playbook run; keep which hosts failed, whether anything changed, Ansible's errors."""

    def __init__(self, step: str, emit: Emit, through: str = "") -> None:
        """`through` is the host that tasks of the step are delegated to, "" if none are."""
        self._step = step
        self._emit = emit
        self._through = through
        self.failed: set[str] = set()
        self.changed = False
        self.errors: deque[str] = deque(maxlen=50)  # last lines of what Ansible itself wrote
        self._processed: frozenset[str] | None = None

    def failed_hosts(self, hosts: Iterable[str]) -> frozenset[str]:
        """The hosts that failed, and those of `hosts` that a stopped play did not reach."""
        missed = frozenset(hosts) - self._processed if self.failed and self._processed is not None else ()
        return frozenset({*self.failed, *missed})

    def handle(self, event: Mapping[str, Any]) -> bool:
        """Translate one event. Always False: ansible-runner then does not write it to disk."""
        data = event.get("event_data") or {}
        match event.get("event"):
            case "runner_on_start":
                self._started(data)
            case "runner_on_ok":
                self._finished(data)
            case "runner_retry":
                self._retried(data)
            case "runner_on_failed" if not data.get("ignore_errors"):
                self._host_failed(data)
            case "runner_on_unreachable":
                text = str(event.get("stdout", ""))
                lost = self._through if _is_delegated(str(data.get("host", "")), text) else ""
                self._host_failed(data, lost=f"lost the connection{' to ' * bool(lost)}{lost}: ")
            case "playbook_on_stats":
                self._processed = frozenset(data.get("processed") or ())
            case "verbose" | "error":
                self.errors.extend(line for line in str(event.get("stdout", "")).splitlines() if line.strip())
        return False

    def _started(self, data: Mapping[str, Any]) -> None:
        task = str(data.get("task", ""))
        if not task.startswith(_SPEC_CHECK):
            self._emit(TaskStarted(step=self._step, host=str(data.get("host", "")), task=task))

    def _finished(self, data: Mapping[str, Any]) -> None:
        result = data.get("res") or {}
        changed = bool(result.get("changed"))
        self.changed |= changed
        task = str(data.get("task", ""))
        if task.startswith(_SPEC_CHECK):
            return
        self._emit(
            TaskFinished(
                step=self._step,
                host=str(data.get("host", "")),
                task=task,
                changed=changed,
                changes=tuple(map(str, result.get("changes") or ())),
                proofs=tuple(map(str, result.get("proofs") or ())),
            )
        )

    def _retried(self, data: Mapping[str, Any]) -> None:
        """Report what a task with `until` has done so far, and what it waits for."""
        result = data.get("res") or {}
        self.changed |= bool(result.get("changed"))
        for text in (*(result.get("changes") or ()), *([result["msg"]] if result.get("msg") else ())):
            self._emit(Note(step=self._step, host=str(data.get("host", "")), text=redact(str(text))))

    def _host_failed(self, data: Mapping[str, Any], *, lost: str = "") -> None:
        """`lost` begins the message if a connection was lost."""
        host, result = str(data.get("host", "")), data.get("res") or {}
        if host in self.failed:
            return  # the first failure is the cause, later ones follow from it
        self.failed.add(host)
        message = lost + redact(_message(result, lost=bool(lost)))
        lines = tuple(redact(str(line)) for line in result.get("lines") or _tail(result))[-_LINES:]
        cause, fix = likely_cause(message, lines, lost=bool(lost))
        self._emit(
            HostFailed(
                step=self._step,
                host=host,
                task=str(data.get("task", "")),
                message=message,
                command=redact(_command(result)),
                lines=lines,
                cause=cause,
                fix=fix,
            )
        )


def _is_delegated(host: str, text: str) -> bool:
    """Whether a failed task of a host was delegated to another host, by what Ansible printed for the event.

    The data of the event does not tell (ansible-core 2.19, ansible-runner 2.4): a lost connection has no delegated
    variables, and `remote_addr` is the host. The printed label does: `fatal: [w1 -> cp1]: UNREACHABLE!`. In a loop
    it shows `delegate_to` unrendered, so the name is taken from the step.
    """
    return re.search(rf"^fatal: \[{re.escape(host)} -> ", text, re.MULTILINE) is not None


def _message(result: Mapping[str, Any], *, lost: bool) -> str:
    if "censored" in result and lost:
        return "no answer"
    if "censored" in result:
        return "it failed; its output is hidden, because it may hold a secret"
    text = str(result.get("msg") or result.get("stderr") or result.get("reason") or "no reason was given")
    return text.strip().splitlines()[0][:500]


def _tail(result: Mapping[str, Any]) -> tuple[str, ...]:
    """Output of a builtin module: the rest of a long message, standard error, then standard output."""
    text = "\n".join(str(result.get(name) or "") for name in ("msg", "module_stderr", "stderr", "stdout"))
    return tuple(line for line in text.splitlines()[1:] if line.strip())


def _command(result: Mapping[str, Any]) -> str:
    command = result.get("command") or result.get("cmd") or ""
    return " ".join(map(str, command)) if isinstance(command, list) else str(command)
