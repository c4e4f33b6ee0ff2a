"""Requests to the API server of this control plane, as its administrator."""

from __future__ import annotations

import json

from provision.providers.kubeadm.probe.api import access

_SECONDS = 15
_CONFLICT, _NOT_FOUND, _FIRST_ERROR = 409, 404, 400


class Refused(OSError):  # noqa: N818 - an answer of the server, and `status` says which
    """The API server does not want that."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"status {status}: {reason}")
        self.status = status

    @property
    def conflict(self) -> bool:
        """Somebody else was first."""
        return self.status == _CONFLICT


class Objects:
    """Objects by their paths. Every method raises OSError if the server does not answer, Refused if it says no."""

    def __init__(self, root: str) -> None:
        self._address, self._port, self._context = access(root)

    def get(self, path: str) -> dict:  # type: ignore[type-arg]
        """The object or list; {} if it is not there."""
        return self._request("GET", path, missing_is_fine=True)

    def create(self, path: str, body: dict) -> dict:  # type: ignore[type-arg]
        return self._request("POST", path, body)

    def replace(self, path: str, body: dict) -> dict:  # type: ignore[type-arg]
        """Raises Refused with `conflict` if it is not the version that `body` was made of."""
        return self._request("PUT", path, body)

    def merge(self, path: str, patch: dict) -> dict:  # type: ignore[type-arg]
        """Change what the patch has; None in it removes (RFC 7386)."""
        return self._request("PATCH", path, patch, kind="application/merge-patch+json")

    def delete(self, path: str, body: dict | None = None) -> bool:  # type: ignore[type-arg]
        """False if it was not there."""
        return bool(self._request("DELETE", path, body, missing_is_fine=True))

    def _request(  # type: ignore[no-untyped-def]
        self,
        method: str,
        path: str,
        body=None,  # noqa: ANN001 - JSON
        *,
        missing_is_fine: bool = False,
        kind: str = "application/json",
    ) -> dict[str, object]:
        import http.client  # noqa: PLC0415 - slow to import, and only needed where a control plane is
        import socket  # noqa: PLC0415

        connection = http.client.HTTPConnection(self._address, self._port)
        connection.auto_open = 0  # it would reconnect without TLS
        plain = socket.create_connection((self._address, self._port), timeout=_SECONDS)
        try:
            # Every API server's certificate names "kubernetes", whatever address it listens on.
            connection.sock = self._context.wrap_socket(plain, server_hostname="kubernetes")
            headers = {
                "Accept": "application/json",
                "Content-Type": kind,
                "Connection": "close",
            }
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            text = response.read()
        except http.client.HTTPException as error:
            raise OSError(f"no proper answer: {type(error).__name__}") from error
        finally:
            plain.close()
            connection.close()
        if response.status == _NOT_FOUND and missing_is_fine:
            return {}
        found: dict[str, object] = json.loads(text) if text.startswith(b"{") else {}
        if response.status >= _FIRST_ERROR:
            raise Refused(response.status, str(found.get("message", text[:200].decode("utf-8", "replace"))))
        return found
