"""Client of the API server of an EKS cluster: reads nodes, with the standard library alone.

It runs on this machine, since there is no host to run it on as with kubeadm.
"""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from provision.errors import ProvisionError

_TIMEOUT = 10.0  # seconds
_UNAUTHENTICATED, _FORBIDDEN = 401, 403
_NODE_GROUP, _COMPUTE = "eks.amazonaws.com/nodegroup", "eks.amazonaws.com/compute-type"


class Served(Protocol):
    """What the client must know of a cluster; ClusterFacts of `provision.providers.eks.facts` has it."""

    @property
    def endpoint(self) -> str: ...  # URL, "" until there is one

    @property
    def authority(self) -> str: ...  # CA certificate, PEM in base64

    @property
    def public(self) -> bool: ...  # reachable from outside of the VPC


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeNode:
    """A node as the API server reports it; `message`: why it is not ready."""

    name: str
    ready: bool
    message: str
    cordoned: bool
    version: str  # of its kubelet, "v1.35.2-eks-0000000"
    runtime: str  # "containerd://2.2.3"
    address: str  # in the VPC
    node_group: str  # "" for none
    fargate: bool
    created: str = ""  # "2026-11-21T14:00:00Z"
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[str, ...] = ()  # "key=value:Effect"


def nodes(cluster: Served, token: str, timeout: float = _TIMEOUT) -> tuple[KubeNode, ...]:
    """All nodes of the cluster, sorted by name. `timeout`: seconds for the connection and for each read.

    Raises ProvisionError with the cause and the fix.
    """
    listed = _get(cluster, token, "/api/v1/nodes", timeout)
    return tuple(sorted(map(_node, listed["items"]), key=lambda node: node.name))


def _get(cluster: Served, token: str, path: str, timeout: float) -> Any:
    host = urlsplit(cluster.endpoint).netloc
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    try:
        with closing(_connection(cluster, timeout)) as connection:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise _unreachable(cluster, host, error) from error
    if answer.status != http.client.OK:
        raise _refused(host, path, answer.status, body)
    try:
        return json.loads(body)
    except ValueError as error:
        raise ProvisionError(
            f"{host} answered {path} with something that is not JSON",
            fix="check which server listens at that address",
        ) from error


def _connection(cluster: Served, timeout: float) -> http.client.HTTPSConnection:
    """A connection, not opened yet, through the proxy that the environment names for this host."""
    place = urlsplit(cluster.endpoint)
    host, port = place.hostname or "", place.port or 443
    context = _trusting(cluster.authority, host)
    proxy = None if proxy_bypass(host) else getproxies().get("https")
    if not proxy:
        return http.client.HTTPSConnection(host, port, timeout=timeout, context=context)
    through = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    connection = http.client.HTTPSConnection(
        through.hostname or "", through.port or 8080, timeout=timeout, context=context
    )
    connection.set_tunnel(host, port, headers=_proxy_headers(through.username, through.password))
    return connection


def _trusting(authority: str, host: str) -> ssl.SSLContext:
    """Trust this CA and no other: `create_default_context` would trust the system's where the CA is empty."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=base64.b64decode(authority, validate=True).decode())
    except (ValueError, ssl.SSLError) as error:
        raise ProvisionError(
            f"the CA certificate of {host} cannot be parsed: {error}",
            fix="check `certificateAuthority` of `aws eks describe-cluster`",
        ) from error
    return context


def _proxy_headers(user: str | None, password: str | None) -> dict[str, str]:
    if user is None:
        return {}
    login = f"{unquote(user)}:{unquote(password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}


def _unreachable(cluster: Served, host: str, error: Exception) -> ProvisionError:
    if isinstance(error, ssl.SSLCertVerificationError):
        return ProvisionError(
            f"{host} is not the cluster's API server: {error.verify_message}",
            fix="a proxy intercepts TLS: exclude the host from it with NO_PROXY",
        )
    why = _why(error)
    if not cluster.public:
        return ProvisionError(
            f"the API server {host} cannot be reached from this machine ({why}): its endpoint is private",
            fix="run provision inside of the VPC or a network connected to it, or write `endpoint: {public: true}`",
        )
    return ProvisionError(
        f"the API server {host} cannot be reached from this machine ({why})",
        fix="check that this machine's address is in `endpoint.public_cidrs` and that no firewall is in between",
    )


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, socket.gaierror):
        return "its name cannot be resolved"
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()


def _refused(host: str, path: str, status: int, body: bytes) -> ProvisionError:
    if status == _UNAUTHENTICATED:
        return ProvisionError(
            f"the API server {host} does not accept these AWS credentials",
            fix="add the ARN of `aws sts get-caller-identity` to `access.admins`, and apply as one of the admins",
        )
    if status == _FORBIDDEN:
        return ProvisionError(
            f"these AWS credentials may not read {path} of the cluster",
            fix="add the ARN of `aws sts get-caller-identity` to `access.admins`, and apply as one of the admins",
        )
    try:
        said = str(json.loads(body)["message"])
    except (ValueError, LookupError, TypeError):
        said = body[:200].decode(errors="replace").strip()
    return ProvisionError(f"the API server {host} answered {status} to {path}: {said}", fix="try again")


def _taint(taint: dict[str, str]) -> str:
    value = f"={taint['value']}" if taint.get("value") else ""
    return f"{taint['key']}{value}:{taint['effect']}"


def _node(item: dict[str, Any]) -> KubeNode:
    metadata, status = item["metadata"], item.get("status", {})
    labels, info = metadata.get("labels", {}), status.get("nodeInfo", {})
    condition: dict[str, str] = next(
        (one for one in status.get("conditions", ()) if one["type"] == "Ready"), {}
    )
    addresses = {one["type"]: one["address"] for one in status.get("addresses", ())}
    ready = condition.get("status") == "True"
    message = condition.get("message") or condition.get("reason") or "its kubelet has not reported yet"
    return KubeNode(
        name=metadata["name"],
        ready=ready,
        message="" if ready else message,
        cordoned=bool(item.get("spec", {}).get("unschedulable")),
        version=info.get("kubeletVersion", ""),
        runtime=info.get("containerRuntimeVersion", ""),
        address=addresses.get("InternalIP", ""),
        node_group=labels.get(_NODE_GROUP, ""),
        fargate=labels.get(_COMPUTE) == "fargate",
        created=metadata.get("creationTimestamp") or "",
        labels=labels,
        taints=tuple(map(_taint, item.get("spec", {}).get("taints") or ())),
    )
