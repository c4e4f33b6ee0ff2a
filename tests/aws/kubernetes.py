"""A cluster's API server on loopback: HTTPS with a certificate of its own authority, AWS tokens, and the nodes.

A token is taken as EKS takes it: a presigned GetCallerIdentity whose signature is computed anew here, for this cluster,
not older than 15 minutes, of a principal with an access entry.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import json
import ssl
import tempfile
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from moto.iam.models import iam_backends

from tests.aws.eks.resources import ACCOUNT
from tests.aws.eks.versions import CALENDAR

if TYPE_CHECKING:
    from tests.aws.eks.resources import Cluster, Eks, Resource

_PREFIX = "k8s-aws-v1."
_LIVES = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Authority:
    """`data` is base64 of the PEM, as describe_cluster has it; `context` shows a certificate that it signed."""

    data: str
    context: ssl.SSLContext = field(repr=False)


@cache
def authority() -> Authority:
    """The authority of this process and a certificate for 127.0.0.1 that it signed."""
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kube-apiserver")])
    root = (
        _certificate(issuer, issuer, root_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(root_key.public_key()), critical=False)
        .add_extension(_usage(signs=True), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    own = (
        _certificate(subject, issuer, key)
        .add_extension(names, critical=False)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False
        )
        .sign(root_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile(suffix=".pem") as chain:
        chain.write(own.public_bytes(pem) + secret)
        chain.flush()
        context.load_cert_chain(chain.name)
    return Authority(base64.b64encode(root.public_bytes(pem)).decode(), context)


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    today = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=30))
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


class KubernetesApi:
    """Serves until `close`. Nodes are NotReady in the first looks (`states.slow("nodes", n)`) after they joined."""

    def __init__(self, eks: Eks, cluster: Cluster) -> None:
        self._eks, self._cluster = eks, cluster
        self._looks: dict[str, int] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 10

            def do_GET(self) -> None:
                if not cluster.body["resourcesVpcConfig"]["endpointPublicAccess"]:
                    self.close_connection = True  # from outside of the VPC nothing answers
                    return
                status, content = outer.answer(self.path, self.headers.get("Authorization", ""))
                body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
                self.send_response(status)
                self.send_header(
                    "Content-Type", "text/plain" if isinstance(content, str) else "application/json"
                )
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                """A client that went away is none of our business."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.socket = authority().context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.url = f"https://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        # Not shutdown(): it waits for a thread that may be waiting for whoever closes.
        threading.Thread(target=self._end, daemon=True).start()

    def _end(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str, authorization: str) -> tuple[int, Any]:
        """Status and content of a GET."""
        route = urlsplit(path).path
        if route in {"/readyz", "/livez", "/healthz"}:
            return HTTPStatus.OK, "ok"
        if route == "/version":
            patch = CALENDAR[self._cluster.body["version"]][0]
            major, minor = patch.split(".")[:2]
            return HTTPStatus.OK, {"major": major, "minor": minor, "gitVersion": f"v{patch}-eks-0000000"}
        reason = self._refusal(authorization)
        if reason:
            return HTTPStatus.UNAUTHORIZED, _status(HTTPStatus.UNAUTHORIZED, f"Unauthorized: {reason}")
        content = _DISCOVERY.get(route)
        if route == "/api/v1/nodes":
            content = {"kind": "NodeList", "apiVersion": "v1", "metadata": {}, "items": self._nodes()}
        if content is None:
            return HTTPStatus.NOT_FOUND, _status(HTTPStatus.NOT_FOUND, f"{route} is not served here")
        return HTTPStatus.OK, content

    def _refusal(self, authorization: str) -> str:
        """Why the token does not let its bearer in; empty if it does."""
        scheme, _, token = authorization.partition(" ")
        if scheme != "Bearer" or not token.startswith(_PREFIX):
            return f"no bearer token {_PREFIX}..."
        try:
            caller = _caller_of(token.removeprefix(_PREFIX), self._cluster.name)
        except ValueError as error:
            return str(error)
        if not self._cluster.policies.get(caller):
            return f"{caller} has no access entry with a policy"
        return ""

    def _nodes(self) -> list[dict[str, Any]]:
        items = []
        for group in list(self._cluster.nodegroups.values()):
            if group.status not in {"ACTIVE", "UPDATING", "DEGRADED"}:
                continue
            arn = group.body["nodegroupArn"]
            left = self._looks.setdefault(arn, self._eks.states.looks("nodes"))
            self._looks[arn] = max(left - 1, 0)
            items += [_node(self._eks.region, group, index, left == 0) for index in range(_size(group))]
        return items


def _size(group: Resource) -> int:
    return int(group.body["scalingConfig"]["desiredSize"])


def _caller_of(encoded: str, cluster: str) -> str:
    """ARN of whoever signed; raises ValueError saying what is wrong with the token."""
    url = _decoded(encoded)
    asked = {key: values[0] for key, values in parse_qs(urlsplit(url).query).items()}
    _require_call(url, asked)
    made = datetime.strptime(asked["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    if not -timedelta(minutes=5) <= datetime.now(UTC) - made <= _LIVES:
        raise ValueError("the token is expired")
    key, _, region, service, _ = asked["X-Amz-Credential"].split("/")
    user = iam_backends[ACCOUNT]["aws"].get_user_from_access_key_id(key)
    if user is None or service != "sts":
        raise ValueError(f"the access key {key} is not known, or it signed for {service} instead of sts")
    secret = next(each.secret_access_key for each in user.access_keys if each.access_key_id == key)
    if (
        _signature(url, Credentials(key, secret), region, asked["X-Amz-Date"], cluster)
        != asked["X-Amz-Signature"]
    ):
        raise ValueError(f"the signature is not that of {key} for the cluster {cluster}")
    return str(user.arn)


def _decoded(encoded: str) -> str:
    if "=" in encoded:
        raise ValueError("the token is padded")
    try:
        return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise ValueError("the token is no base64url") from None


def _require_call(url: str, asked: dict[str, str]) -> None:
    """The presigned call is GetCallerIdentity of STS, bound to a cluster, and not meant for long."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if (
        parts.scheme != "https"
        or not host.startswith("sts.")
        or ".amazonaws.com" not in host
        or parts.path != "/"
    ):
        raise ValueError(f"{parts.scheme}://{host}{parts.path} is not STS")
    if asked.get("Action") != "GetCallerIdentity":
        raise ValueError("the presigned call is not GetCallerIdentity")
    absent = {"X-Amz-Date", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-Expires"} - set(asked)
    if absent:
        raise ValueError(f"{', '.join(sorted(absent))} is missing")
    if "x-k8s-aws-id" not in asked.get("X-Amz-SignedHeaders", "").split(";"):
        raise ValueError("x-k8s-aws-id is not signed")
    if not 0 < int(asked["X-Amz-Expires"]) <= _LIVES.total_seconds():
        raise ValueError("X-Amz-Expires is not within 15 minutes")


def _signature(url: str, credentials: Credentials, region: str, stamp: str, cluster: str) -> str:
    bare = url.partition("&X-Amz-Signature=")[0]
    request = AWSRequest("GET", bare, headers={"x-k8s-aws-id": cluster})
    request.context["timestamp"] = stamp
    signer = SigV4QueryAuth(credentials, "sts", region)
    return str(signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request))


def _node(region: str, group: Resource, index: int, ready: bool) -> dict[str, Any]:  # noqa: FBT001 - a fact
    body = group.body
    digits = int(body["nodegroupArn"][-4:], 16)
    patch = CALENDAR[body["version"]][0]
    return {
        "metadata": {
            "name": f"ip-192-168-{digits % 250}-{(digits // 250 + index) % 250}.{region}.compute.internal",
            "labels": {
                "eks.amazonaws.com/nodegroup": body["nodegroupName"],
                "node.kubernetes.io/instance-type": body["instanceTypes"][0],
                "topology.kubernetes.io/region": region,
                "kubernetes.io/os": "linux",
                **body.get("labels", {}),
            },
            "creationTimestamp": body["createdAt"].strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
        "spec": {"providerID": f"aws:///{region}a/i-{body['nodegroupArn'][-8:]}{index:09x}"},
        "status": {
            "conditions": [
                {
                    "type": "Ready",
                    "status": "True" if ready else "False",
                    "reason": "KubeletReady" if ready else "KubeletNotReady",
                    "message": "kubelet is posting ready status" if ready else "cni plugin not initialized",
                }
            ],
            "nodeInfo": {
                "kubeletVersion": f"v{patch}-eks-0000000",
                "osImage": body["amiType"],
                "architecture": "amd64",
            },
            "addresses": [
                {"type": "InternalIP", "address": f"192.168.{digits % 250}.{(digits // 250 + index) % 250}"}
            ],
        },
    }


def _status(code: int, message: str) -> dict[str, Any]:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "code": code,
    }


# Enough for `kubectl get nodes`.
_DISCOVERY: dict[str, dict[str, Any]] = {
    "/api": {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/api/v1": {
        "kind": "APIResourceList",
        "groupVersion": "v1",
        "resources": [
            {
                "name": "nodes",
                "singularName": "node",
                "namespaced": False,
                "kind": "Node",
                "verbs": ["get", "list"],
                "shortNames": ["no"],
            }
        ],
    },
}
