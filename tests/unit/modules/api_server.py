"""A small stand-in for the Kubernetes API server: real TLS with client certificates, objects kept in memory.

It knows paths, not kinds: enough to see what our modules ask for. That the real server takes it is proven on the lab.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

Pair = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def issue(name: str, authority: Pair | None = None, *, names: tuple[str, ...] = ()) -> Pair:
    """A certificate and its key; self-signed and an authority if there is no `authority`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer = authority[0].subject if authority else subject
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), critical=True)
    )
    if names:
        alternatives = x509.SubjectAlternativeName([_alternative(entry) for entry in names])
        builder = builder.add_extension(alternatives, critical=False)
    return builder.sign((authority or (None, key))[1], hashes.SHA256()), key


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def pem(pair: Pair) -> tuple[bytes, bytes]:
    """Certificate and key."""
    certificate, key = pair
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private


class ApiServer:
    """Listens on loopback. `objects` holds what there is by path; `requests` what was asked."""

    def __init__(self, directory: Path) -> None:
        self.objects: dict[str, Any] = {}
        self.busy: list[tuple[int, str]] = []  # status and Retry-After of the next answers, first first
        self.refuses: dict[str, int] = {}  # how often a path is still answered with 403
        self.requests: list[tuple[str, str, str, str]] = []  # method, path, content type, body
        self.authority = issue("kubernetes-ca")
        certificate, key = pem(issue("kube-apiserver", self.authority, names=("kubernetes",)))
        (directory / "server.pem").write_bytes(certificate + key)
        (directory / "ca.pem").write_bytes(pem(self.authority)[0])
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(directory / "ca.pem"))
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(directory / "server.pem")
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def admin_conf(self) -> str:
        """A kubeconfig as kubeadm writes it."""
        certificate, key = pem(issue("kubernetes-admin", self.authority))
        data = [base64.b64encode(part).decode() for part in (pem(self.authority)[0], certificate, key)]
        return (
            f"clusters:\n- cluster:\n    certificate-authority-data: {data[0]}\n"
            f"    server: https://127.0.0.1:{self.port}\n"
            f"users:\n- user:\n    client-certificate-data: {data[1]}\n    client-key-data: {data[2]}\n"
        )

    def answer(self, method: str, path: str, kind: str, body: str) -> tuple[int, Any]:
        self.requests.append((method, path, kind, body))
        place, _, query = path.partition("?")
        if self.refuses.get(place):
            self.refuses[place] -= 1
            return 403, {"message": "forbidden"}
        if method == "GET":
            items = [entry for key, entry in self.objects.items() if key.rpartition("/")[0] == place]
            if place in self.objects:
                return 200, self.objects[place]
            return (200, {"items": items}) if items or query else (404, {"message": "not found"})
        if method == "POST":
            made = json.loads(body)
            made["data"] = {
                key: base64.b64encode(value.encode()).decode()
                for key, value in made.pop("stringData", {}).items()
            }
            self.objects[f"{place}/{made['metadata']['name']}"] = made
            return 201, made
        if method == "PATCH":
            self.objects[place] = json.loads(body) if "merge" in kind else {"applied": body}
            return 200, self.objects[place]
        return (200, self.objects.pop(place)) if place in self.objects else (404, {"message": "not found"})


def _handler(api: ApiServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            kind = self.headers.get("Content-Type") or ""
            busy = api.busy.pop(0) if api.busy else None
            status, answer = (busy[0], {}) if busy else api.answer(self.command, self.path, kind, body)
            data = json.dumps(answer).encode()
            self.send_response(status)
            if busy and busy[1]:
                self.send_header("Retry-After", busy[1])
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815  # http.server's names

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    return Handler
