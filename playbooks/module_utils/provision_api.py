"""A client of the Kubernetes API for a module that runs on a control plane.

A kubectl process costs seconds of CPU on a small machine; a call over one kept TLS connection costs a few
milliseconds. It talks to the API server of its own host, with the certificate of /etc/kubernetes/admin.conf.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import socket
import ssl
import time
from pathlib import Path
from typing import Any, NamedTuple

from ansible.module_utils.provision_address import host_and_port
from ansible.module_utils.provision_host import HostError, read

ADMIN_CONFIG = Path("etc/kubernetes/admin.conf")
_MANIFEST = Path("etc/kubernetes/manifests/kube-apiserver.yaml")
_ENDPOINT = re.compile(r"kube-apiserver\.advertise-address\.endpoint:\s*\"?([^\s\"]+)")
_NOT_FOUND = 404
_FIRST_ERROR = 400
_BUSY = (
    http.HTTPStatus.TOO_MANY_REQUESTS,
    http.HTTPStatus.SERVICE_UNAVAILABLE,
)  # "come again", says Retry-After
_PATIENCE = 60  # seconds in which a server that is busy or restarts is asked again
_PAUSE = 1.0
_GONE_AWAY = (OSError, http.client.HTTPException)


class ApiError(HostError):  # type: ignore[misc]  # ansible.* has no types for mypy
    """The API server refused a request; `status` is the HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class UnansweredError(HostError):  # type: ignore[misc]
    """The API server does not answer; `refused`: nothing listens there, so it got nothing of the request."""

    def __init__(self, message: str, *, refused: bool) -> None:
        super().__init__(message)
        self.refused = refused


class Credentials(NamedTuple):
    """What admin.conf holds, decoded to PEM, and where this host's API server listens."""

    host: str
    port: int
    authority: bytes
    certificate: bytes
    key: bytes

    @property
    def place(self) -> str:
        return f"{self.host}:{self.port}"


def credentials(root: Path = Path("/")) -> Credentials:
    """Read them from this control plane's files; HostError on a host that is none."""
    text = read(root / ADMIN_CONFIG)
    if text is None:
        raise HostError("this host is no control plane: /etc/kubernetes/admin.conf is missing")
    match = _ENDPOINT.search(read(root / _MANIFEST) or "")
    endpoint = match.group(1) if match else _field(text, "server").rpartition("//")[2]
    host, port = host_and_port(endpoint)
    return Credentials(
        host=host,
        port=port,
        authority=_decoded(text, "certificate-authority-data"),
        certificate=_decoded(text, "client-certificate-data"),
        key=_decoded(text, "client-key-data"),
    )


class Api:
    """Requests to the API server, as JSON. A connection that was lost is made anew once per request."""

    def __init__(self, access: Credentials, *, timeout: float = 60) -> None:
        self._access = access
        self._timeout = timeout
        self._context = ssl.create_default_context(cadata=access.authority.decode())
        self._load_identity()
        self._connection: http.client.HTTPConnection | None = None
        self._has_answered = False
        self._restarts = False  # it was away, and has not called itself ready since

    def get(self, path: str) -> Any | None:
        """The object or list at `path`, or None if there is none."""
        status, answer = self.request("GET", path)
        return None if status == _NOT_FOUND else self._checked(status, answer, path)

    def create(self, path: str, body: dict[str, Any]) -> Any:
        status, answer = self.request("POST", path, json.dumps(body))
        return self._checked(status, answer, path)

    def merge(self, path: str, body: dict[str, Any], *, kind: str = "merge-patch") -> Any:
        """PATCH with a JSON merge patch, or with `kind` strategic-merge-patch."""
        status, answer = self.request("PATCH", path, json.dumps(body), f"application/{kind}+json")
        return self._checked(status, answer, path)

    def apply(self, path: str, body: str) -> Any:
        """Server-side apply of one document, YAML or JSON, as field manager `provision`."""
        query = f"{path}?fieldManager=provision&force=true"
        status, answer = self.request("PATCH", query, body, "application/apply-patch+yaml")
        return self._checked(status, answer, path)

    def delete(self, path: str) -> bool:
        """Delete; false if it was not there."""
        status, answer = self.request("DELETE", path)
        if status == _NOT_FOUND:
            return False
        self._checked(status, answer, path)
        return True

    def request(
        self, method: str, path: str, body: str | None = None, content_type: str = "application/json"
    ) -> tuple[int, Any]:
        """Status and decoded answer (text where it is no JSON). UnansweredError if the server cannot be reached.

        A server that says it is busy (429, 503 with Retry-After), or that has answered before and is gone now, is
        asked again, for a minute: a kubelet restarts API servers.
        """
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                self._refuse_unready()
                status, answer, pause = self._connected(method, path, body, content_type)
            except UnansweredError as error:
                self._restarts |= error.refused
                if not (self._has_answered and self._restarts and time.monotonic() < deadline):
                    raise
                time.sleep(_PAUSE)
                continue
            if status not in _BUSY or pause is None or time.monotonic() + pause > deadline:
                return status, answer
            time.sleep(pause)

    def _refuse_unready(self) -> None:
        """Raise UnansweredError while a server that was away is not ready: it knows nobody's rights yet."""
        if not self._restarts:
            return
        if self._unready():
            raise UnansweredError(
                f"the API server at {self._access.place} restarts and is not ready yet", refused=False
            )
        self._restarts = False

    def _unready(self) -> str:
        """What the server says against its being ready, "" if it is; UnansweredError if it says nothing."""
        status, answer, _ = self._connected("GET", "/readyz", None, "application/json")
        return "" if status == http.HTTPStatus.OK else str(answer) or f"status {status}"

    def _connected(
        self, method: str, path: str, body: str | None, content_type: str
    ) -> tuple[int, Any, float | None]:
        for last_try in (False, True):
            try:
                answer = self._send(method, path, body, content_type)
            except _GONE_AWAY as error:
                self.close()
                if last_try:
                    raise UnansweredError(
                        f"the API server at {self._access.place} does not answer: {error}",
                        refused=isinstance(error, ConnectionRefusedError),
                    ) from error
            else:
                self._has_answered = True
                return answer
        raise AssertionError

    def wait_until_ready(self, seconds: float) -> None:
        """Wait for the API server to call itself ready, at most `seconds`."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                against = self._unready()
            except UnansweredError as error:
                against = error.message
            if not against:
                return
            if time.monotonic() > deadline:
                lines = against.splitlines()[-12:]
                raise HostError(f"the API server was not ready within {seconds:.0f} s", lines=lines)
            time.sleep(_PAUSE)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _send(
        self, method: str, path: str, body: str | None, content_type: str
    ) -> tuple[int, Any, float | None]:
        if self._connection is None:
            self._connection = self._connect()
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = content_type
        self._connection.request(method, path, None if body is None else body.encode(), headers)
        response = self._connection.getresponse()
        text = response.read().decode(errors="replace")
        seconds = response.headers.get("Retry-After") or ""
        pause = float(seconds) if seconds.isdecimal() else None
        if "json" in response.headers.get("Content-Type", ""):
            return response.status, json.loads(text), pause
        return response.status, text, pause

    def _connect(self) -> http.client.HTTPConnection:
        plain = socket.create_connection((self._access.host, self._access.port), timeout=self._timeout)
        connection = http.client.HTTPConnection(self._access.host, self._access.port)
        connection.auto_open = False  # it would reconnect without TLS
        # Every API server's certificate names "kubernetes", whatever address it listens on.
        connection.sock = self._context.wrap_socket(plain, server_hostname="kubernetes")
        return connection

    def _load_identity(self) -> None:
        # ssl reads keys from files only; this one never touches a disk.
        descriptor = os.memfd_create("identity")
        try:
            os.write(descriptor, self._access.certificate + b"\n" + self._access.key)
            self._context.load_cert_chain(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)

    def _checked(self, status: int, answer: Any, path: str) -> Any:
        if status < _FIRST_ERROR:
            return answer
        reason = answer.get("message", "") if isinstance(answer, dict) else str(answer)
        what, _, _ = path.partition("?")
        raise ApiError(f"the API server refused {what} with status {status}: {reason}", status)


def _field(text: str, name: str) -> str:
    match = re.search(rf"^\s*{name}:\s*\"?([^\s\"]+)", text, re.MULTILINE)
    if not match:
        raise HostError(f"/etc/kubernetes/admin.conf has no {name}")
    return match.group(1)


def _decoded(text: str, name: str) -> bytes:
    return base64.b64decode(_field(text, name))
