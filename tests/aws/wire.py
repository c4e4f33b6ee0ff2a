"""HTTP to and from botocore's service models: operation and parameters of a request, bytes of a response."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote
from xml.sax.saxutils import escape

import botocore.session
from botocore.model import ListShape, OperationModel, ServiceModel, Shape, StructureShape
from moto.core.serialize import get_serializer_class
from moto.core.utils import get_service_model as moto_model

from tests.aws.failures import AwsError, ShimError
from tests.aws.shapes import faults

# The name in a signature is not always the name of the model.
_SIGNED_AS = {"servicequotas": "service-quotas", "tagging": "resourcegroupstaggingapi"}
_CREDENTIAL = re.compile(r"Credential=(?P<key>[^/]+)/\d{8}/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")
_READS = ("Describe", "List", "Get", "Simulate", "Decode", "Assume", "Search", "BatchGet", "Lookup")


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request. `path` is percent-encoded and has no query."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Operation:
    """A signed call of one operation; `service` is botocore's name. `model` is None for services without rules here."""

    service: str
    name: str
    region: str
    access_key: str
    request: Request = field(repr=False)
    model: OperationModel | None = field(repr=False, default=None)

    @property
    def mutating(self) -> bool:
        return not self.name.startswith(_READS)

    @property
    def form(self) -> dict[str, str]:
        """The parameters of the query protocols, flat, as they were sent."""
        return dict(parse_qsl(self.request.body.decode(), keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes


@cache
def model_of(service: str) -> ServiceModel:
    return botocore.session.get_session().get_service_model(service)


def recognise(request: Request) -> Operation | None:
    """The operation of a request; None if it has no AWS signature."""
    signed = _CREDENTIAL.search(request.headers.get("authorization", ""))
    if signed is None:
        return None
    key, region, service = signed["key"], signed["region"], signed["service"]
    name, model = "", None
    if service == "eks":
        model = _by_path(model_of("eks"), request)
        name = model.name
    elif "x-amz-target" in request.headers:
        name = request.headers["x-amz-target"].rpartition(".")[2]
    else:
        form = parse_qs(request.body.decode("utf-8", "replace"))
        name = form.get("Action", ["?"])[0]
        if service == "elasticloadbalancing":
            service = "elb" if form.get("Version") == ["2012-06-01"] else "elbv2"
    service = _SIGNED_AS.get(service, service)
    if model is None and service in {"service-quotas", "pricing", "iam"}:
        model = model_of(service).operation_model(name)
    return Operation(service, name, region, key, request, model)


@cache
def _routes(service: str) -> tuple[tuple[str, re.Pattern[str], str], ...]:
    model = model_of(service)
    rows = []
    for name in model.operation_names:
        http = model.operation_model(name).http
        uri = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(http["requestUri"]))
        rows.append((http["method"], re.compile(uri + "/?"), name))
    return tuple(rows)


def _by_path(model: ServiceModel, request: Request) -> OperationModel:
    for method, pattern, name in _routes(model.service_name):
        if method == request.method and pattern.fullmatch(request.path):
            return model.operation_model(name)
    raise ShimError(f"{model.service_name} has no operation at {request.method} {request.path}")


def parameters(operation: Operation) -> dict[str, Any]:
    """The parameters by the model's member names; raises AwsError as the service does for invalid ones."""
    model = operation.model
    if model is None:
        raise ShimError(f"{operation.service}:{operation.name} has no model here")
    shape = model.input_shape
    protocol = model.service_model.protocol
    if protocol == "rest-json":
        values = _rest_parameters(operation, model)
    elif protocol == "json":
        values = json.loads(operation.request.body or b"{}")
    else:
        values = _query_parameters(operation.form, shape)
    wrong = list(faults(values, shape)) if shape is not None else []
    if wrong:
        code = "InvalidParameterException" if operation.service == "eks" else "ValidationException"
        raise AwsError(code, "; ".join(wrong))
    return values


def _rest_parameters(operation: Operation, model: OperationModel) -> dict[str, Any]:
    request, shape = operation.request, model.input_shape
    pattern = next(p for _, p, name in _routes(operation.service) if name == model.name)
    match = pattern.fullmatch(request.path)
    assert match is not None
    members = shape.members if isinstance(shape, StructureShape) else {}
    names = {m.serialization.get("name", n): n for n, m in members.items()}
    body = json.loads(request.body or b"{}")
    located = {m.serialization.get("location"): n for n, m in members.items()}
    if body and None not in located:
        raise AwsError("InvalidParameterException", f"{model.name} has no body")
    values = {names.get(key, key): value for key, value in body.items()}
    values |= {names[key]: unquote(value) for key, value in match.groupdict().items()}
    for key, texts in parse_qs(request.query, keep_blank_values=True).items():
        name = names.get(key, key)
        member = members.get(name)
        values[name] = _typed(texts, member) if member is not None else texts
    return values


def _typed(texts: list[str], shape: Shape) -> Any:
    if shape.type_name == "list":
        return texts
    if shape.type_name == "boolean":
        return texts[0] == "true"
    return int(texts[0]) if shape.type_name == "integer" else texts[0]


def _query_parameters(form: dict[str, str], shape: Shape | None) -> dict[str, Any]:
    """Nested as the keys say: `Names.member.1`, `Entries.member.1.Key`."""
    tree: dict[str, Any] = {}
    for key, text in form.items():
        if key not in {"Action", "Version"}:
            *path, last = key.split(".")
            node = tree
            for part in path:
                node = node.setdefault(part, {})
            node[last] = text
    members = shape.members if isinstance(shape, StructureShape) else {}
    return {name: _nested(value, members.get(name)) for name, value in tree.items()}


def _nested(value: Any, shape: Shape | None) -> Any:
    if isinstance(value, str):
        return value if shape is None or shape.type_name == "list" else _typed([value], shape)
    if set(value) == {"member"}:
        inner = shape.member if isinstance(shape, ListShape) else None
        return [_nested(value["member"][number], inner) for number in sorted(value["member"], key=int)]
    members = shape.members if isinstance(shape, StructureShape) else {}
    return {name: _nested(part, members.get(name)) for name, part in value.items()}


def reply(operation: Operation, result: dict[str, Any]) -> Reply:
    """Bytes of the response; raises ShimError if `result` does not match the output's shape."""
    model = operation.model
    assert model is not None
    if model.output_shape is not None:
        wrong = list(faults(result, model.output_shape))
        if wrong:
            raise ShimError(
                f"the answer of {operation.name} is no {model.output_shape.name}: {'; '.join(wrong)}"
            )
    protocol = model.service_model.protocol
    # The serializers are written for moto's representation of the same model.
    own = moto_model(operation.service).operation_model(operation.name)
    made = get_serializer_class(operation.service, protocol)(own).serialize(result)
    body = made["body"]
    return Reply(made["status_code"], dict(made["headers"]), body.encode() if isinstance(body, str) else body)


def error_reply(operation: Operation, error: AwsError) -> Reply:
    """The error in the protocol of the service."""
    if operation.service == "ec2":
        text = (
            f"<Response><Errors><Error><Code>{error.code}</Code><Message>{escape(error.message)}</Message></Error>"
            "</Errors><RequestID>00000000-0000-0000-0000-000000000000</RequestID></Response>"
        )
        return Reply(error.status, {"Content-Type": "text/xml"}, text.encode())
    if operation.service in {"iam", "sts", "elb", "elbv2"}:
        text = (
            f"<ErrorResponse><Error><Type>Sender</Type><Code>{error.code}</Code>"
            f"<Message>{escape(error.message)}</Message></Error>"
            "<RequestId>00000000-0000-0000-0000-000000000000</RequestId></ErrorResponse>"
        )
        return Reply(error.status, {"Content-Type": "text/xml"}, text.encode())
    content = {"__type": error.code, "message": error.message, **error.members}
    headers = {"Content-Type": "application/json", "x-amzn-ErrorType": error.code}
    return Reply(error.status, headers, json.dumps(content).encode())


def declared(operation: Operation, error: AwsError) -> AwsError:
    """The error with the status of its shape; raises ShimError if the operation's model does not know it."""
    assert operation.model is not None
    for shape in operation.model.error_shapes:
        if error.code in {shape.name, shape.metadata.get("error", {}).get("code")}:
            assert isinstance(shape, StructureShape)
            text = next((name for name in shape.members if name.lower() == "message"), "message")
            wrong = list(faults({text: error.message, **error.members}, shape))
            if wrong:
                raise ShimError(f"{operation.name}: {'; '.join(wrong)}")
            error.status = shape.metadata.get("error", {}).get("httpStatusCode", 400)
            return error
    # Not in every model, but possible for every operation: invalid requests.
    if error.code in {"InvalidParameterException", "ValidationException"}:
        return error
    raise ShimError(f"{operation.name} never fails with {error.code}") from error
