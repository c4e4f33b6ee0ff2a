"""Whether the file has the keys and kinds of values that the types ask for, said in words of the file."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING

from pydantic import ValidationError

from provision.config.problem import Key, Problem, meant, shown
from provision.config.rules.version import full_version
from provision.config.schema import ClusterFile, section_of, sections

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic_core import ErrorDetails

# What people coming from other tools write -> what it is called here.
_OTHER_WORDS = {
    "version": "kubernetes",
    "kubernetes_version": "kubernetes",
    "nodes": "hosts",
    "machines": "hosts",
    "ip": "address",
    "hostname": "name",
    "cri": "runtime",
    "container_runtime": "runtime",
    "cni": "network.plugin",
    "pod_subnet": "network.pod_cidr",
    "service_subnet": "network.service_cidr",
    "control_plane_endpoint": "endpoint",
}
_OTHER_VALUES = {"master": "control-plane", "controller": "control-plane", "node": "worker", "cri-o": "crio"}
_NEEDED = {
    "string_type": "text",
    "int_type": "a whole number",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


def problems_of_shape(data: Mapping[str, object], written: Mapping[Key, str]) -> list[Problem]:
    """Compare plain data with the types; `written` has the scalars as they stand in the file."""
    found = list(_hosts_from_one_place(data))
    try:
        ClusterFile.model_validate(data)
    except ValidationError as failure:
        found += [_problem(error, written) for error in failure.errors(include_url=False)]
    # `adress` is one mistake, not an unknown key and a missing one.
    misspelt = {(problem.key[:-1], problem.fix) for problem in found if problem.check == "unknown-key"}
    return [
        problem
        for problem in found
        if problem.check != "missing-key"
        or (problem.key[:-1], _did_you_mean(str(problem.key[-1]))) not in misspelt
    ]


def _hosts_from_one_place(data: Mapping[str, object]) -> Iterator[Problem]:
    if "hosts" in data and "inventory" in data:
        message = "hosts come from `hosts` and from `inventory`; one place is needed"
        yield Problem(key=("inventory",), check="hosts", message=message, fix="take one of the two out")
    elif "hosts" not in data and "inventory" not in data:
        fix = "list the machines below `hosts:`, or name an Ansible inventory with `inventory:`"
        yield Problem(key=("hosts",), check="missing-key", message="no hosts are given", fix=fix)


def _did_you_mean(word: str) -> str:
    return f"did you mean {word}?"


def _problem(error: ErrorDetails, written: Mapping[Key, str]) -> Problem:
    key: Key = error["loc"]
    kind, value = error["type"], error["input"]
    if kind == "extra_forbidden":
        return _unknown(key)
    if kind == "missing":
        return _missing(key)
    if kind == "literal_error" and isinstance(value, str):
        return _choice(key, value)
    needed = "text" if kind == "literal_error" else _NEEDED.get(kind, "something else")
    raw = written.get(key, "")
    return Problem(
        key=key,
        check="type",
        message=f"{_seen(value, raw)}; {needed} is needed",
        fix=_way_out(key, value, raw, needed),
    )


def _unknown(key: Key) -> Problem:
    *above, name = key
    word = str(name)
    section = section_of(tuple(above)) or ClusterFile
    near = _named_elsewhere(_snake(word)) or meant(word, section.model_fields)
    fix = _did_you_mean(near) if near else f"known here: {', '.join(section.model_fields)}"
    return Problem(key=key, check="unknown-key", message="there is no such key", fix=fix)


def _snake(word: str) -> str:
    """`podCidr` -> `pod_cidr`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", word).lower().replace("-", "_")


def _named_elsewhere(word: str) -> str:
    """Return where a key stands that other tools, or other parts of the file, call so; "" if nowhere."""
    for path, section in sections().items():
        if word in section.model_fields:
            return ".".join((*path, word))
    return _OTHER_WORDS.get(word, "")


def _missing(key: Key) -> Problem:
    *above, name = key
    section = section_of(tuple(above))
    field = section.model_fields.get(str(name)) if section else None
    said = field.description if field else ""
    choices = _choices(key)
    example = choices[0] if choices else str(field.examples[0]) if field and field.examples else "..."
    quoted = f'"{example}"' if name == "kubernetes" else example
    return Problem(
        key=key, check="missing-key", message=f"{name} is missing ({said})", fix=f"add `{name}: {quoted}`"
    )


def _choice(key: Key, value: str) -> Problem:
    choices = _choices(key)
    near = _OTHER_VALUES.get(value.lower(), "")
    near = near if near in choices else meant(value, choices)
    message = f"{shown(value)} is none of {', '.join(choices)}"
    fix = _did_you_mean(near) if near else f"write {' or '.join(choices)}"
    if len(choices) == 1:
        message, fix = f"{shown(value)} is not known to this release", f"write {choices[0]}"
    return Problem(key=key, check="choice", message=message, fix=fix)


def _choices(key: Key) -> tuple[str, ...]:
    *above, name = key
    section = section_of(tuple(above))
    field = section.model_fields.get(str(name)) if section else None
    arguments = getattr(field.annotation, "__args__", ()) if field else ()
    return tuple(choice for choice in arguments if isinstance(choice, str))


def _seen(value: object, raw: str) -> str:
    if value is None:
        return (
            "nothing is here (null)" if not raw else f"{shown(raw)} without quotes is nothing (null) to YAML"
        )
    if isinstance(value, bool):
        return f"{shown(raw)} without quotes is {str(value).lower()} to YAML"
    if isinstance(value, (int, float)):
        same = raw == str(value)
        return f"{shown(raw)} is a number" if same else f"YAML reads {shown(raw)} as the number {value}"
    if isinstance(value, dt.date):
        return f"{shown(raw)} without quotes is a date to YAML"
    if isinstance(value, str):
        return f"{shown(value)} is text"
    return "a list is here" if isinstance(value, tuple) else "a mapping is here"


def _way_out(key: Key, value: object, raw: str, needed: str) -> str:
    if key == ("kubernetes",):
        return f"write it in quotes: {full_version(raw)}"
    if needed == "text" and not isinstance(value, (dict, tuple)):
        return f'write "{shown(raw)}" in quotes' if raw else "write a value, or take the key out"
    if needed == "a whole number" and isinstance(value, str) and value.isdecimal():
        return f"write {shown(value)} without quotes"
    if needed == "a list" and isinstance(value, str):
        return f"write [{shown(value)}]"
    if needed == "a list" and isinstance(value, dict):
        return "begin each entry with `- `"
    return "take the key out to have its default" if value is None else ""
