"""HTTP/1.1 over TLS as the API server and etcd speak it, without http.client, which takes long to import.

A connection is kept for many requests; requests may be written ahead of the answers to earlier ones.
"""

from __future__ import annotations

import time

TYPE_CHECKING = False  # importing `typing` costs 20 ms on a small machine
if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Iterator

    Headers = dict[str, str]

OK, NOT_FOUND, FIRST_ERROR = 200, 404, 400


class BrokenAnswerError(OSError, ValueError):
    """The peer closed the connection within an answer, or sent something that is not HTTP."""


class Connection:
    """One TLS connection; each answer has to be complete `seconds` after its request. All methods raise OSError."""

    def __init__(
        self, address: tuple[str, int], context: ssl.SSLContext, *, certified_name: str = "", seconds: float
    ) -> None:
        import socket  # noqa: PLC0415 - only hosts with something to ask need it

        plain = socket.create_connection(address, timeout=seconds)
        try:
            secure = context.wrap_socket(plain, server_hostname=certified_name or address[0])
        except BaseException:
            plain.close()
            raise
        self.sock: socket.socket = secure
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        self._data = b""

    def close(self) -> None:
        self.sock.close()

    def send(self, *requests: bytes) -> None:
        """Write requests (see `request`); the time for their answers begins now."""
        self._end = time.monotonic() + self._seconds
        self.sock.sendall(b"".join(requests))

    def answer(self) -> tuple[int, Headers, bytes]:
        """Status, headers (lower-case names) and body of the next answer."""
        status, headers = self.head()
        return status, headers, b"".join(self.body(headers))

    def head(self) -> tuple[int, Headers]:
        """Status and headers of the next answer; its `body` has to be read next."""
        words = self._line().split(" ", 2)
        if len(words) < 2 or not words[1].isdecimal():  # noqa: PLR2004 - version and status
            raise BrokenAnswerError(f"the answer is not HTTP: {words[0][:80]}")
        headers = {}
        while line := self._line():
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        return int(words[1]), headers

    def body(self, headers: Headers) -> Iterator[bytes]:
        """The body in parts as they come; the time for the next part begins with each (RFC 9112, 7.1)."""
        if headers.get("transfer-encoding", "").lower() != "chunked":
            yield self._bytes(_length(headers.get("content-length", "0"), 10))
            return
        while size := _length(self._line().partition(";")[0], 16):
            yield self._bytes(size)
            self._line()
            self._end = time.monotonic() + self._seconds
        while self._line():
            pass  # trailers

    def _line(self) -> str:
        while b"\r\n" not in self._data:
            self._data += self._received()
        line, _, self._data = self._data.partition(b"\r\n")
        return line.decode("latin-1")

    def _bytes(self, size: int) -> bytes:
        parts = [self._data[:size]]
        missing, self._data = size - len(self._data), self._data[size:]
        while missing > 0:
            part = self._received()
            parts.append(part[:missing])
            missing, self._data = missing - len(part), part[missing:]
        return b"".join(parts)

    def _received(self) -> bytes:
        left = self._end - time.monotonic()
        if left <= 0:
            raise BrokenAnswerError(f"no complete answer within {self._seconds} s")
        self.sock.settimeout(left)
        part = self.sock.recv(1 << 16)
        if not part:
            raise BrokenAnswerError("the answer was cut off")
        return part


def request(
    method: str,
    path: str,
    host: str,
    body: str | None = None,
    *,
    kind: str = "application/json",
    is_last: bool = False,
) -> bytes:
    """A request as bytes; `kind` is the media type of `body`; after the answer to the last one the peer closes."""
    data = (body or "").encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: {bracketed(host)}\r\nAccept: application/json\r\n"
    head += f"Content-Type: {kind}\r\n" if data else ""
    head += "Connection: close\r\n" if is_last else ""
    return f"{head}Content-Length: {len(data)}\r\n\r\n".encode("ascii") + data


def _length(text: str, base: int) -> int:
    try:
        return int(text, base)
    except ValueError as error:
        raise BrokenAnswerError(f"the answer has the length {text[:80]!r}") from error


def host_and_port(server: str) -> tuple[str, int]:
    """`[::1]:6443` -> ("::1", 6443)."""
    host, _, port = server.rpartition(":")
    return host.strip("[]"), int(port)


def bracketed(address: str) -> str:
    """`::1` -> `[::1]`; names and IPv4 addresses stay as they are."""
    return f"[{address}]" if ":" in address else address
