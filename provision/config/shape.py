"""Whether the file has the keys and kinds of values that the types ask for, said in words of the file."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, get_args

from pydantic import ValidationError

from provision.config.problem import Key, Problem, meant, shown
from provision.config.schema import section_of, sections
from provision.model.cluster import VirtualAddress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

    from provision.config.provider import Provider

_NEEDED = {
    "string_type": "text",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


def problems_of_shape(
    data: Mapping[str, object], written: Mapping[Key, str], provider: Provider
) -> list[Problem]:
    """Compare plain data with the types; `written` has the scalars as they stand in the file."""
    found = list(provider.needs(data))
    try:
        provider.model.model_validate(data)
    except ValidationError as failure:
        errors = [_of_branch(error) for error in failure.errors(include_url=False)]
        found += [_problem(error, written, provider) for error in errors if error]
    # `adress` is one mistake, not an unknown key and a missing one.
    misspelt = {(problem.key[:-1], problem.fix) for problem in found if problem.check == "unknown-key"}
    return [
        problem
        for problem in found
        if problem.check != "missing-key"
        or (problem.key[:-1], _did_you_mean(str(problem.key[-1]))) not in misspelt
    ]


def _did_you_mean(word: str) -> str:
    return f"did you mean {word}?"


def _of_branch(error: ErrorDetails) -> ErrorDetails | None:
    """An error where text or a mapping may stand, said for the one that stands there; None for the other."""
    above, branch, below = error["loc"][:1], error["loc"][1:2], error["loc"][2:]
    if above != ("endpoint",) or branch not in {("str",), (VirtualAddress.__name__,)}:
        return error
    is_mapping = isinstance(error["input"], dict)
    if not below and is_mapping != (branch != ("str",)):
        return None
    return {**error, "loc": (*above, *below)}


def _problem(error: ErrorDetails, written: Mapping[Key, str], provider: Provider) -> Problem:
    key: Key = error["loc"]
    kind, value = error["type"], error["input"]
    if kind == "extra_forbidden":
        return _unknown(key, provider)
    if kind == "missing":
        return _missing(key, provider)
    if kind == "literal_error" and isinstance(value, str):
        return _choice(key, value, provider)
    needed = "text" if kind == "literal_error" else _NEEDED.get(kind, "something else")
    raw = written.get(key, "")
    return Problem(
        key=key,
        check="type",
        message=f"{_seen(value, raw)}; {needed} is needed",
        fix=_version_out(raw, provider) if key == ("kubernetes",) else _way_out(value, raw, needed),
    )


def _unknown(key: Key, provider: Provider) -> Problem:
    *above, name = key
    word = str(name)
    section = section_of(provider.model, tuple(above)) or provider.model
    near = _named_elsewhere(_snake(word), section, provider) or meant(word, section.model_fields)
    fix = _did_you_mean(near) if near else f"known here: {', '.join(section.model_fields)}"
    return Problem(key=key, check="unknown-key", message="there is no such key", fix=fix)


def _snake(word: str) -> str:
    """`podCidr` -> `pod_cidr`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", word).lower().replace("-", "_")


def _named_elsewhere(word: str, section: type[BaseModel], provider: Provider) -> str:
    """Return where a key stands that other tools, or other parts of the file, call so; "" if nowhere."""
    name = provider.words.get(word, word)
    if "." in name or name in section.model_fields:
        return name
    for path, other in sections(provider.model).items():
        if name in other.model_fields:
            return ".".join((*path, name))
    return ""


def _missing(key: Key, provider: Provider) -> Problem:
    field = _field(key, provider)
    name, said = key[-1], field.description if field else ""
    choices = _choices(key, provider)
    example = choices[0] if choices else str(field.examples[0]) if field and field.examples else "..."
    quoted = f'"{example}"' if name == "kubernetes" else example
    return Problem(
        key=key, check="missing-key", message=f"{name} is missing ({said})", fix=f"add `{name}: {quoted}`"
    )


def _choice(key: Key, value: str, provider: Provider) -> Problem:
    choices = _choices(key, provider)
    near = provider.choices.get(value.lower(), "")
    near = near if near in choices else meant(value, choices)
    message = f"{shown(value)} is none of {', '.join(choices)}"
    fix = _did_you_mean(near) if near else f"write {' or '.join(choices)}"
    if len(choices) == 1:
        message, fix = f"{shown(value)} is not known to this release", f"write {choices[0]}"
    return Problem(key=key, check="choice", message=message, fix=fix)


def _choices(key: Key, provider: Provider) -> tuple[str, ...]:
    """Return the texts that a key, or an item of a list, is one of; () where it may be any text."""
    if key == ("provider",):
        return ("kubeadm", "eks") if provider.name == "kubeadm" else ("eks", "kubeadm")
    field = _field(key, provider)
    arguments = get_args(field.annotation) if field else ()
    if arguments and isinstance(key[-1], int):
        arguments = get_args(arguments[0])
    return tuple(choice for choice in arguments if isinstance(choice, str))


def _field(key: Key, provider: Provider) -> FieldInfo | None:
    """Return the field at a key; the list's where the key is an item of a list of texts."""
    *above, name = key[:-1] if isinstance(key[-1], int) else key
    section = section_of(provider.model, tuple(above))
    return section.model_fields.get(str(name)) if section else None


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


def _version_out(raw: str, provider: Provider) -> str:
    return f"write it in quotes: {provider.quoted(raw)}"


def _way_out(value: object, raw: str, needed: str) -> str:
    if needed == "text" and not isinstance(value, (dict, tuple)):
        return f'write "{shown(raw)}" in quotes' if raw else "write a value, or take the key out"
    if needed == "a whole number" and isinstance(value, str) and value.isdecimal():
        return f"write {shown(value)} without quotes"
    if (
        needed == "true or false"
        and isinstance(value, str)
        and value.lower() in {"true", "false", "yes", "no"}
    ):
        return f"write {'true' if value.lower() in {'true', 'yes'} else 'false'} without quotes"
    if needed == "a list" and isinstance(value, str):
        return f"write [{shown(value)}]"
    if needed == "a list" and isinstance(value, dict):
        return "begin each entry with `- `"
    return "take the key out to have its default" if value is None else ""
