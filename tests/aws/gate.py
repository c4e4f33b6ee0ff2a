"""Entry point of every request: recognise, count, delay or refuse it according to the states, then handle it."""

from __future__ import annotations

import io
import json
import socket
import struct
import threading
import traceback
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NoReturn
from wsgiref.types import StartResponse, WSGIEnvironment

from tests.aws import network, policies, prices, quotas
from tests.aws.callers import caller_arn, error_in, known, refusal
from tests.aws.calls import Call, kill_peer
from tests.aws.eks.operations import OPERATIONS
from tests.aws.eks.resources import Eks
from tests.aws.failures import AwsError, ShimError
from tests.aws.states import States, used_up
from tests.aws.wire import Operation, Reply, Request, declared, error_reply, parameters, recognise, reply

if TYPE_CHECKING:
    from tests.aws.control import Control

Application = Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]

# Operations handled here besides EKS: service, operation.
_OTHERS: dict[tuple[str, str], Callable[[States, Operation, dict[str, Any]], dict[str, Any]]] = {
    ("service-quotas", "GetServiceQuota"): quotas.get_service_quota,
    ("service-quotas", "GetAWSDefaultServiceQuota"): quotas.get_aws_default_service_quota,
    ("service-quotas", "ListServiceQuotas"): quotas.list_service_quotas,
    ("pricing", "GetProducts"): prices.get_products,
    ("iam", "SimulatePrincipalPolicy"): policies.simulate_principal_policy,
}


class LostConnectionError(Exception):
    """The connection of the client is to be reset."""


class Gate:
    """One account. `operator` is the access key whose calls are neither counted nor refused."""

    def __init__(self, moto: Application, operator: str) -> None:
        self._moto, self._operator = moto, operator
        self.lock = threading.RLock()
        self.control: Control | None = None
        self.clear()

    def clear(self) -> None:
        """Clear states, calls and clusters."""
        self.states = States()
        self.calls: list[Call] = []
        self.regions: dict[str, Eks] = {}
        self.shim_errors: list[str] = []
        self._deaths = 0
        self._tokens: dict[tuple[str, str, str], tuple[str, Reply]] = {}

    def eks(self, region: str) -> Eks:
        return self.regions.setdefault(region, Eks(region, self.states))

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        try:
            request = _read(environ)
        except LostConnectionError:
            _reset(environ["werkzeug.socket"])
        if request.path.startswith("/_control") and self.control is not None:
            return _send(self.control.answer(request), start)
        operation = None
        try:
            operation = recognise(request)
            if operation is None:
                return self._moto(environ, start)
            answer = self._answer(operation, environ)
        except LostConnectionError:
            _reset(environ["werkzeug.socket"])
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the shim's, and fails the test
            self.shim_errors.append(str(error) if isinstance(error, ShimError) else traceback.format_exc())
            answer = _shim_reply(operation, f"tests/aws: {type(error).__name__}: {error}")
        return _send(answer, start)

    def _answer(self, operation: Operation, environ: WSGIEnvironment) -> Reply:
        deaths = self._deaths
        with self.lock:
            if operation.access_key == self._operator:
                return self._perform(operation, environ)
            if deaths != self._deaths:
                raise LostConnectionError  # sent by a process that was killed while this waited
            code = self._hindrance(operation)
            if code == "lost":
                self._log(operation, code)
                raise LostConnectionError
            if code:
                self._log(operation, code)
                return error_reply(operation, refusal(operation, code))
            answer = self._perform(operation, environ)
            self._log(operation, error_in(answer))
            self._kill_perhaps(operation, environ)
            if used_up(self.states.lost_after, operation.name):
                raise LostConnectionError
            return answer

    def _log(self, operation: Operation, error: str) -> None:
        self.calls.append(
            Call(operation.service, operation.name, operation.region, operation.mutating, error)
        )

    def _hindrance(self, operation: Operation) -> str:
        """Why the call is not executed: "unknown", "expired", "denied", "throttled", "lost", or "" if it is."""
        states = self.states
        if not known(operation):
            return "unknown"
        if states.calls_until_expiry is not None:
            if states.calls_until_expiry == 0:
                return "expired"
            states.calls_until_expiry -= 1
        if used_up(states.lost, operation.name):
            return "lost"
        if used_up(states.throttled, operation.name):
            return "throttled"
        return "denied" if operation.name in states.denied else ""

    def _perform(self, operation: Operation, environ: WSGIEnvironment) -> Reply:
        try:
            if operation.service == "eks":
                return self._eks_reply(operation)
            other = _OTHERS.get((operation.service, operation.name))
            if other is not None:
                return self._own_reply(operation, lambda params: other(self.states, operation, params))
            if operation.service == "ec2" and operation.access_key != self._operator:
                states = self.states
                return self._once(
                    operation, lambda: network.perform(states, operation, lambda: self._by_moto(environ))
                )
        except AwsError as error:
            return error_reply(operation, error)
        answer = self._by_moto(environ)
        if operation.name == "DeleteLoadBalancer":
            network.release_balancer(self.states, operation)
        return answer

    def _eks_reply(self, operation: Operation) -> Reply:
        handler = OPERATIONS.get(operation.name)
        if handler is None:
            raise ShimError(f"eks:{operation.name} is not served")
        eks = self.eks(operation.region)
        eks.caller, eks.quiet = caller_arn(operation), operation.access_key == self._operator
        return self._own_reply(operation, lambda params: handler(eks, params))

    def _own_reply(self, operation: Operation, answer: Callable[[dict[str, Any]], dict[str, Any]]) -> Reply:
        try:
            return reply(operation, answer(parameters(operation)))
        except AwsError as error:
            return error_reply(operation, declared(operation, error))

    def _once(self, operation: Operation, perform: Callable[[], Reply]) -> Reply:
        """Answer a repeated client token of EC2 as the first time, without effect."""
        form = operation.form
        token = form.pop("ClientToken", "")
        if not token:
            return perform()
        key, asked = (operation.region, operation.name, token), json.dumps(form, sort_keys=True)
        if key in self._tokens:
            before, answer = self._tokens[key]
            if before != asked:
                raise AwsError(
                    "IdempotentParameterMismatch", "The client token was used with other parameters"
                )
            return answer
        answer = perform()
        if answer.status < 300:
            self._tokens[key] = (asked, answer)
        return answer

    def _by_moto(self, environ: WSGIEnvironment) -> Reply:
        seen: list[Any] = []

        def start(
            status: str, headers: list[tuple[str, str]], _error: Any = None
        ) -> Callable[[bytes], object]:
            seen[:] = [status, headers]
            return lambda _: None

        body = b"".join(self._moto(environ, start))
        return Reply(int(seen[0].split()[0]), dict(seen[1]), body)

    def _kill_perhaps(self, operation: Operation, environ: WSGIEnvironment) -> None:
        if self.states.kill_countdown is None or not operation.mutating:
            return
        self.states.kill_countdown -= 1
        if self.states.kill_countdown > 0:
            return
        self.states.kill_countdown = None
        self._deaths += 1
        ours = (environ["SERVER_NAME"], int(environ["SERVER_PORT"]))
        if kill_peer(ours, (environ["REMOTE_ADDR"], int(environ["REMOTE_PORT"]))) is None:
            raise ShimError("kill_after: the caller is no other process on this machine")
        raise LostConnectionError


def _read(environ: WSGIEnvironment) -> Request:
    """The request; moto can read its body again. Raises LostConnectionError if the client died while sending."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(length) if length else b""
    if len(body) < length:
        raise LostConnectionError
    environ["wsgi.input"] = io.BytesIO(body)
    headers = {
        key[5:].replace("_", "-").lower(): value for key, value in environ.items() if key.startswith("HTTP_")
    }
    path = str(environ.get("RAW_URI") or environ["PATH_INFO"]).partition("?")[0]
    return Request(environ["REQUEST_METHOD"], path, environ.get("QUERY_STRING", ""), headers, body)


def _send(answer: Reply, start: StartResponse) -> Iterable[bytes]:
    kept = {"content-length", "connection", "transfer-encoding"}
    headers = [(key, str(value)) for key, value in answer.headers.items() if key.lower() not in kept]
    headers.append(("Content-Length", str(len(answer.body))))
    start(f"{answer.status} -", headers)
    return [answer.body]


def _shim_reply(operation: Operation | None, message: str) -> Reply:
    if operation is not None:
        return error_reply(operation, AwsError("ShimError", message, status=501))
    headers = {"Content-Type": "application/json", "x-amzn-ErrorType": "ShimError"}
    return Reply(501, headers, json.dumps({"message": message}).encode())


def _reset(connection: socket.socket) -> NoReturn:
    """Reset the connection; the exception makes werkzeug send no response."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    # Closes the file descriptor: other references to the socket object would keep it open.
    socket.close(connection.detach())
    raise ConnectionResetError
