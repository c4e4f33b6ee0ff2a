"""Connect to the API server of this control plane as the administrator of /etc/kubernetes/admin.conf."""

from __future__ import annotations

import binascii
import json
import os
from collections import namedtuple

from ansible.module_utils.provision_errors import HostError
from ansible.module_utils.provision_files import text_of, yaml_value
from ansible.module_utils.provision_http import Connection, host_and_port, request

TYPE_CHECKING = False  # importing `typing` costs 20 ms on a small machine
if TYPE_CHECKING:
    import ssl
    from typing import Any

    from ansible.module_utils.provision_files import Root

ADMIN_CONFIG = "/etc/kubernetes/admin.conf"
MANIFEST = "/etc/kubernetes/manifests/kube-apiserver.yaml"
KUBE_SYSTEM = "/api/v1/namespaces/kube-system"
CERTIFIED_NAME = "kubernetes"  # in the certificate of every API server, whatever address it listens on
_ENDPOINT = "kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint"  # annotation of the static pod


# PEM texts, and where the API server listens. `typing.NamedTuple` would import `typing`.
class Credentials(namedtuple("Credentials", "host port authority certificate key")):  # noqa: PYI024
    """Identity for requests to the API server at `host`, `port`; `key` may be part of `certificate`."""

    __slots__ = ()

    @property
    def place(self) -> str:
        return f"{self.host}:{self.port}"

    def context(self) -> ssl.SSLContext:
        import ssl  # noqa: PLC0415 - takes long to import; workers do without

        context = ssl.create_default_context(cadata=self.authority.decode("ascii"))
        # OpenSSL reads the pair from a file only: one in memory that no other process can open by name.
        descriptor = os.memfd_create("identity")
        try:
            os.write(descriptor, self.certificate + b"\n" + self.key)
            context.load_cert_chain(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)
        return context


def credentials(root: Root = "/") -> Credentials:
    """The administrator's, from this control plane's files; HostError on a host that is none."""
    text = text_of(f"{root}{ADMIN_CONFIG}")
    if not text:
        raise HostError(f"this host is no control plane: {ADMIN_CONFIG} is missing")
    host, port = _listens_at(text_of(f"{root}{MANIFEST}"), text)
    labels = ("certificate-authority-data", "client-certificate-data", "client-key-data")
    return Credentials(host, port, *(binascii.a2b_base64(_required(text, label)) for label in labels))


def _listens_at(manifest: str, admin_config: str) -> tuple[str, int]:
    _, _, address = manifest.partition("--advertise-address=")
    _, _, port = manifest.partition("--secure-port=")
    if address:
        return address.split()[0], int(port.split()[0]) if port else 6443
    return host_and_port(
        yaml_value(manifest, _ENDPOINT) or _required(admin_config, "server").rpartition("//")[2]
    )


def _required(admin_config: str, key: str) -> str:
    value = yaml_value(admin_config, key)
    if not value:
        raise HostError(f"{ADMIN_CONFIG} has no {key}")
    return value


def connect(access: Credentials, context: ssl.SSLContext, seconds: float) -> Connection:
    """A connection on which each answer has to be complete `seconds` after its request; OSError without one."""
    return Connection((access.host, access.port), context, certified_name=CERTIFIED_NAME, seconds=seconds)


def get_all(access: Credentials, paths: list[str], seconds: float) -> list[tuple[int, Any]]:
    """Status and decoded answer of each path, asked at once: one wait for all of them. OSError or ValueError."""
    connection = connect(access, access.context(), seconds)
    try:
        connection.send(*(request("GET", path, CERTIFIED_NAME, is_last=path == paths[-1]) for path in paths))
        return [decoded(*connection.answer())[:2] for _ in paths]
    finally:
        connection.close()


def decoded(status: int, headers: dict[str, str], body: bytes) -> tuple[int, Any, float | None]:
    """Status, the answer as data or else as text, and the seconds of Retry-After."""
    pause = headers.get("retry-after", "")
    text = body.decode("utf-8", "replace")
    is_json = "json" in headers.get("content-type", "")
    return status, json.loads(text) if is_json and text else text, float(pause) if pause.isdecimal() else None
