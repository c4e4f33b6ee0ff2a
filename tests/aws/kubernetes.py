"""A cluster's API server on loopback: HTTPS with a certificate of its own CA, AWS tokens, and nodes.

Tokens are verified as by EKS: a presigned GetCallerIdentity with a valid signature, for this cluster, not older than 15
minutes, of a principal with an access entry.
"""

from __future__ import annotations

import json
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.aws.authority import authority
from tests.aws.eks.versions import CALENDAR
from tests.aws.tokens import caller_of

if TYPE_CHECKING:
    from tests.aws.eks.resources import Cluster, Eks, Resource

_PREFIX = "k8s-aws-v1."


class KubernetesApi:
    """Serves until `close`. Nodes are NotReady in the first requests (`states.slow("nodes", n)`) after they joined."""

    def __init__(self, eks: Eks, cluster: Cluster) -> None:
        self._eks, self._cluster = eks, cluster
        self._looks: dict[str, int] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 10

            def do_GET(self) -> None:
                if not cluster.body["resourcesVpcConfig"]["endpointPublicAccess"]:
                    self.close_connection = True  # no response outside the VPC
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
                """Ignore clients that disconnect."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.socket = authority().context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.url = f"https://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        # Not shutdown(): it waits for a thread that may itself wait for the caller of close.
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
        """Why the token is rejected; empty if it is accepted."""
        scheme, _, token = authorization.partition(" ")
        if scheme != "Bearer" or not token.startswith(_PREFIX):
            return f"no bearer token {_PREFIX}..."
        try:
            caller = caller_of(token.removeprefix(_PREFIX), self._cluster.name)
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
