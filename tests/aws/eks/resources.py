"""Resources of EKS, which take time to be created and deleted, and responses common to all handlers."""

from __future__ import annotations

import copy
import secrets
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tests.aws.failures import AwsError

if TYPE_CHECKING:
    from tests.aws.kubernetes import KubernetesApi
    from tests.aws.states import States

ACCOUNT = "123456789012"


@dataclass(slots=True)
class Resource:
    """`body` is what describe returns; `request` and `token` created it; `after` ends a transitional state."""

    body: dict[str, Any]
    request: dict[str, Any] = field(default_factory=dict)
    token: str = ""
    looks: int = 0
    after: Callable[[], None] | None = None

    def pass_through(self, status: str, looks: int, after: Callable[[], None]) -> None:
        """Return `status` in the next `looks` describe calls, then run `after`."""
        self.body["status"] = status
        self.looks, self.after = looks, after

    def look(self) -> None:
        """Count one describe call of the transitional state."""
        if self.after is None:
            return
        if self.looks > 0:
            self.looks -= 1
            return
        after, self.after = self.after, None
        after()

    @property
    def status(self) -> str:
        return str(self.body.get("status", "ACTIVE"))

    def shown(self) -> dict[str, Any]:
        return copy.deepcopy(self.body)


@dataclass(slots=True)
class Cluster(Resource):
    """A cluster with all that belongs to it. `entries` by principal, `policies` by principal, then by policy."""

    nodegroups: dict[str, Resource] = field(default_factory=dict)
    fargate: dict[str, Resource] = field(default_factory=dict)
    addons: dict[str, Resource] = field(default_factory=dict)
    entries: dict[str, Resource] = field(default_factory=dict)
    policies: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    identities: dict[str, Resource] = field(default_factory=dict)
    updates: dict[str, Resource] = field(default_factory=dict)
    api: KubernetesApi | None = None
    self_managed_addons: bool = True

    @property
    def name(self) -> str:
        return str(self.body["name"])

    def parts(self) -> Iterable[Resource]:
        for kind in (self.nodegroups, self.fargate, self.addons, self.entries, self.identities):
            yield from kind.values()


@dataclass(slots=True)
class Eks:
    """EKS of one region. `caller` is the ARN of the current caller; the calls of a quiet one do not count."""

    region: str
    states: States
    caller: str = ""
    quiet: bool = False
    clusters: dict[str, Cluster] = field(default_factory=dict)

    def cluster(self, name: str) -> Cluster:
        if name not in self.clusters:
            raise missing(f"No cluster found for name: {name}.")
        return self.clusters[name]

    def look(self, resource: Resource) -> None:
        """Count a describe call of the resource."""
        if not self.quiet:
            resource.look()

    def ready_cluster(self, name: str) -> Cluster:
        """The cluster, which must be ready for changes."""
        cluster = self.cluster(name)
        if cluster.status in {"CREATING", "DELETING", "FAILED"}:
            raise AwsError(
                "InvalidRequestException", f"Cluster '{name}' is not in ACTIVE status", clusterName=name
            )
        return cluster

    def arn(self, kind: str, *parts: str) -> str:
        return f"arn:aws:eks:{self.region}:{ACCOUNT}:{'/'.join((kind, *parts))}"


def missing(message: str) -> AwsError:
    return AwsError("ResourceNotFoundException", message)


def invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterException", message)


def in_use(message: str) -> AwsError:
    return AwsError("ResourceInUseException", message)


def refused(message: str) -> AwsError:
    return AwsError("InvalidRequestException", message)


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def new_id() -> str:
    return str(uuid.uuid4())


def short_id() -> str:
    """A suffix as AWS generates it: ten digits."""
    return str(secrets.randbelow(9 * 10**9) + 10**9)


def found(kind: dict[str, Resource], name: str, message: str) -> Resource:
    if name not in kind:
        raise missing(message)
    return kind[name]


def split(params: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """The request without its token, and the token."""
    request = copy.deepcopy(params)
    return request, request.pop("clientRequestToken", "")


def repeated(there: Resource | None, params: dict[str, Any]) -> bool:
    """Whether a create call repeats, with the same token, the one that created `there`.

    Raises InvalidParameterException for the same token with other parameters.
    """
    request, token = split(params)
    if there is None or not token or token != there.token or there.status == "DELETING":
        return False
    if request != there.request:
        raise invalid("the client request token was used with other parameters")
    return True


def page(names: Iterable[str], key: str, params: dict[str, Any]) -> dict[str, Any]:
    """One page of a listing: at most `maxResults` (100) from `nextToken` on."""
    ordered = sorted(names)
    start = int(params.get("nextToken") or 0)
    end = start + params.get("maxResults", 100)
    answer: dict[str, Any] = {key: ordered[start:end]}
    if end < len(ordered):
        answer["nextToken"] = str(end)
    return answer


def list_living(eks: Eks, kind: dict[str, Resource], key: str, params: dict[str, Any]) -> dict[str, Any]:
    """List resources; counts as a describe call of those being deleted, so that waiting by listing ends."""
    for resource in list(kind.values()):
        if resource.status == "DELETING":
            eks.look(resource)
    return page(kind, key, params)
