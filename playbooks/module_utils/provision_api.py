"""Client of the Kubernetes API, for programs on a control plane.

A kubectl process costs seconds of CPU on a small machine; a call over one kept TLS connection costs a few
milliseconds. It talks to the API server of its own host, with the certificate of /etc/kubernetes/admin.conf.
"""

from __future__ import annotations

import json
import time

from ansible.module_utils.provision_api_connection import CERTIFIED_NAME, connect, decoded
from ansible.module_utils.provision_errors import HostError
from ansible.module_utils.provision_http import FIRST_ERROR, NOT_FOUND, OK, request

TYPE_CHECKING = False  # importing `typing` costs 20 ms on a small machine
if TYPE_CHECKING:
    from typing import Any

    from ansible.module_utils.provision_api_connection import Credentials
    from ansible.module_utils.provision_http import Connection

_CONFLICT = 409
_BUSY = (429, 503)  # with Retry-After: ask again
_FORBIDDEN = 403
_REFUSALS = 2  # that are retried: a server that has just started has not loaded the RBAC rules yet
_PATIENCE = 60  # seconds during which requests to a busy or restarting server are repeated
_PAUSE = 1.0


class ApiError(HostError):  # type: ignore[misc]  # ansible.* has no types for mypy
    """The API server refused a request; `status` is the HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status

    @property
    def is_conflict(self) -> bool:
        """The object exists already, or has changed since it was read."""
        return self.status == _CONFLICT


class UnansweredError(HostError):  # type: ignore[misc]
    """The API server does not answer; `refused`: nothing listens there, so it got nothing of the request."""

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


class Api:
    """Requests to the API server, as JSON. A lost connection is opened again, once per request.

    A request has `timeout` seconds. It is repeated for `patience` seconds while the server says that it is busy
    (429 or 503 with Retry-After), or does not listen although it has answered before: a kubelet restarts API servers.
    So it is where a server that has just started refuses it, once the server is ready.
    With no patience it is sent once, and again only if a kept connection was lost.
    """

    def __init__(self, access: Credentials, *, timeout: float = 60, patience: float = _PATIENCE) -> None:
        self._access = access
        self._timeout = timeout
        self._patience = patience
        self._context = access.context()
        self._connection: Connection | None = None
        self._has_answered = False
        self._restarts = False  # it did not listen, and has not been ready since

    def get(self, path: str) -> Any | None:
        """The object or list at `path`, or None if there is none."""
        status, answer = self.request("GET", path)
        return None if status == NOT_FOUND else self._checked(status, answer, path)

    def create(self, path: str, body: dict[str, Any]) -> Any:
        status, answer = self.request("POST", path, json.dumps(body))
        return self._checked(status, answer, path)

    def replace(self, path: str, body: dict[str, Any]) -> Any:
        """PUT; ApiError with `is_conflict` if `body` was made from another resourceVersion."""
        status, answer = self.request("PUT", path, json.dumps(body))
        return self._checked(status, answer, path)

    def merge(self, path: str, body: dict[str, Any], *, kind: str = "merge-patch") -> Any:
        """PATCH with a JSON merge patch (RFC 7386), or with `kind` strategic-merge-patch."""
        status, answer = self.request("PATCH", path, json.dumps(body), f"application/{kind}+json")
        return self._checked(status, answer, path)

    def apply(self, path: str, body: str) -> Any:
        """Server-side apply of one document, YAML or JSON, as field manager `provision`."""
        query = f"{path}?fieldManager=provision&force=true"
        status, answer = self.request("PATCH", query, body, "application/apply-patch+yaml")
        return self._checked(status, answer, path)

    def delete(self, path: str, options: dict[str, Any] | None = None) -> bool:
        """Delete, with DeleteOptions; false if it was not there."""
        status, answer = self.request("DELETE", path, json.dumps(options) if options else None)
        if status == NOT_FOUND:
            return False
        self._checked(status, answer, path)
        return True

    def request(
        self, method: str, path: str, body: str | None = None, kind: str = "application/json"
    ) -> tuple[int, Any]:
        """Status and decoded answer (text where it is no JSON). UnansweredError if the server cannot be reached."""
        deadline = time.monotonic() + self._patience
        refusals = 0
        while True:
            try:
                self._refuse_unready()
                status, answer, pause = self._send(method, path, body, kind)
            except UnansweredError as error:
                self._restarts |= error.refused
                if not (self._has_answered and self._restarts and time.monotonic() < deadline):
                    raise
                time.sleep(_PAUSE)
                continue
            if status == _FORBIDDEN and refusals < _REFUSALS and time.monotonic() < deadline:
                refusals += 1
                self._restarts = True
                pause = _PAUSE
            elif status not in _BUSY or pause is None or time.monotonic() + pause > deadline:
                return status, answer
            time.sleep(pause)

    def wait_until_ready(self, seconds: float) -> None:
        """Wait for the API server to call itself ready, at most `seconds`."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                unready = self._unready()
            except UnansweredError as error:
                unready = error.message
            if not unready:
                return
            if time.monotonic() > deadline:
                lines = unready.splitlines()[-12:]
                raise HostError(f"the API server was not ready within {seconds:.0f} s", lines=lines)
            time.sleep(_PAUSE)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _refuse_unready(self) -> None:
        """Raise UnansweredError while a restarted server is not ready: it does not know anybody's rights yet."""
        if not self._restarts:
            return
        if self._unready():
            raise UnansweredError(f"the API server at {self._access.place} restarts and is not ready yet")
        self._restarts = False

    def _unready(self) -> str:
        """Why the server is not ready, "" if it is; UnansweredError if it does not answer."""
        status, answer, _ = self._send("GET", "/readyz", None, "application/json")
        return "" if status == OK else str(answer) or f"status {status}"

    def _send(self, method: str, path: str, body: str | None, kind: str) -> tuple[int, Any, float | None]:
        for last_try in (not self._patience and self._connection is None, True):
            try:
                connection = self._connect()
                connection.send(request(method, path, CERTIFIED_NAME, body, kind=kind))
                answer = decoded(*connection.answer())
            except OSError as error:
                self.close()
                if last_try:
                    raise self._unanswered(error) from error
            else:
                self._has_answered = True
                return answer
        raise AssertionError

    def _connect(self) -> Connection:
        if self._connection is None:
            self._connection = connect(self._access, self._context, self._timeout)
        return self._connection

    def _unanswered(self, error: OSError) -> UnansweredError:
        return UnansweredError(
            f"the API server at {self._access.place} does not answer: {error}",
            refused=isinstance(error, ConnectionRefusedError),
        )

    def _checked(self, status: int, answer: Any, path: str) -> Any:
        if status < FIRST_ERROR:
            return answer
        reason = answer.get("message", "") if isinstance(answer, dict) else str(answer)
        what, _, _ = path.partition("?")
        raise ApiError(f"the API server refused {what} with status {status}: {reason}", status)


def items(api: Api, path: str) -> list[dict[str, Any]]:
    """The objects of a list; [] where the kind is not known."""
    return list((api.get(path) or {}).get("items", []))
