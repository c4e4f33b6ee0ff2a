"""The account of a test: its server, credentials, states, calls and inventory."""

from __future__ import annotations

import copy
import json
import os
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.config import Config
from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.iam.models import AWSManagedPolicy, IAMBackend, iam_backends
from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.threaded_moto_server import ThreadedMotoServer
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

from tests.aws.calls import Call
from tests.aws.control import Control
from tests.aws.eks.resources import ACCOUNT
from tests.aws.gate import Gate
from tests.aws.ghosts import Ghosts
from tests.aws.inventory import take_inventory
from tests.aws.states import States

REGION = "eu-central-1"
USER = "tester"
# Of this account only; the same after every reset, so that an exported environment stays valid.
_KEY, _SECRET = "AKIAPROVISION0TESTER", "provisionTestsOnlyNotASecret000000000000"
_OPERATOR = "AKIAPROVISION0TESTS0"


class _Handler(MotoRequestHandler):
    """Logs nothing."""

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name
        pass


class _Server(ThreadedMotoServer):
    """moto's server behind the gate."""

    def __init__(self, port: int) -> None:
        super().__init__("127.0.0.1", port, verbose=False)
        self.gate = Gate(DomainDispatcherApplication(create_backend_app), _OPERATOR)

    def _server_entry(self) -> None:
        made = make_server(self._ip_address, self._port, self.gate, threaded=True, request_handler=_Handler)
        self._server: BaseWSGIServer | None = made
        self._server_ready_event.set()
        made.serve_forever(0.05)


@dataclass(slots=True)
class AwsAccount:
    """A running account. `states` switches faults on, `ghosts` creates orphans of a cluster."""

    port: int
    region: str
    _server: _Server = field(repr=False)
    ghosts: Ghosts = field(init=False)
    _operator: OperatorSession = field(init=False, repr=False)
    _clients: dict[str, Any] = field(default_factory=dict, repr=False)
    _session: boto3.Session | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self._operator = OperatorSession(self.endpoint, self.region)
        self.ghosts = Ghosts(self._server.gate, self.operator())
        self._server.gate.control = Control(self)
        self.reset()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables of a process that uses this account; ~/.aws is not used."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": _KEY,
            "AWS_SECRET_ACCESS_KEY": _SECRET,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @property
    def user_arn(self) -> str:
        return f"arn:aws:iam::{ACCOUNT}:user/{USER}"

    @property
    def states(self) -> States:
        return self._server.gate.states

    @property
    def calls(self) -> tuple[Call, ...]:
        """The user's calls since the start, the reset or `forget_calls`."""
        return tuple(self._server.gate.calls)

    @property
    def mutating_calls(self) -> tuple[Call, ...]:
        return tuple(call for call in self.calls if call.mutating)

    @property
    def shim_errors(self) -> tuple[str, ...]:
        """Requests that no AWS client sends, and responses that AWS would not send."""
        return tuple(self._server.gate.shim_errors)

    def forgive(self) -> None:
        """Clear the shim's errors, which a test expected."""
        self._server.gate.shim_errors.clear()

    def forget_calls(self) -> None:
        self._server.gate.calls.clear()

    def session(self) -> boto3.Session:
        """Session of the user; its clients need `endpoint_url`, which `client` sets."""
        if self._session is None:
            self._session = boto3.Session(_KEY, _SECRET, region_name=self.region)
        return self._session

    def client(self, service: Any) -> Any:
        """A client of the user, without retries: its calls are counted, refused and delayed according to the states."""
        once = Config(retries={"total_max_attempts": 1, "mode": "standard"})
        if service not in self._clients:
            made = self.session().client(service, endpoint_url=self.endpoint, config=once)
            self._clients[service] = made
        return self._clients[service]

    def operator(self) -> OperatorSession:
        """Session for set-up and assertions: calls are not counted, and no state applies to them."""
        return self._operator

    def reset(self) -> None:
        """Empty the account except for its user; clear states and calls."""
        gate = self._server.gate
        with gate.lock:
            for region in gate.regions.values():
                for cluster in region.clusters.values():
                    if cluster.api is not None:
                        cluster.api.close()
            moto_api_backend.reset()
            gate.clear()
            iam = iam_backends[ACCOUNT]["aws"]
            user = iam.create_user(self.region, USER)
            key = iam.create_access_key(USER)
            key.access_key_id, key.secret_access_key = _KEY, _SECRET
            assert user.arn == self.user_arn

    def inventory(self) -> dict[str, list[Any]]:
        """Every resource, without ids and times, so that equal accounts compare equal. See `tests.aws.inventory`."""
        return take_inventory(self.operator())

    def stop(self) -> None:
        self.reset()
        self._server.stop()


class OperatorSession:
    """Session whose calls the account neither counts nor refuses."""

    def __init__(self, endpoint: str, region: str) -> None:
        self.endpoint, self.region = endpoint, region
        self._session = boto3.Session(_OPERATOR, "operator", region_name=region)
        self._clients: dict[str, Any] = {}

    def client(self, service: Any) -> Any:
        if service not in self._clients:
            self._clients[service] = self._session.client(service, endpoint_url=self.endpoint)
        return self._clients[service]


def start_account(port: int = 0, region: str = REGION) -> AwsAccount:
    """Serve an empty account on loopback; port 0 selects a free one. One per process: moto's state is global."""
    # moto reads them when it creates a backend. No test needs images; reading them takes half a second.
    os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"
    _lend_managed_policies()
    server = _Server(port)
    server.start()
    return AwsAccount(server.get_host_and_port()[1], region, server)


def _lend_managed_policies() -> None:
    """Load AWS's managed policies, without which AmazonEKS* cannot be attached.

    MOTO_IAM_LOAD_MANAGED_POLICIES makes moto read all of them again for each partition at each reset, which takes
    a second or two; this reads them once.
    """
    policies: list[AWSManagedPolicy] = []

    def load(backend: IAMBackend) -> list[AWSManagedPolicy]:
        if backend.partition != "aws":
            return []
        if not policies:
            data = json.loads(aws_managed_policies_data)
            policies.extend(
                AWSManagedPolicy.from_data(name, ACCOUNT, REGION, each) for name, each in data.items()
            )
        return [copy.copy(each) for each in policies]

    IAMBackend._init_aws_policies = load  # type: ignore[assignment,method-assign]
