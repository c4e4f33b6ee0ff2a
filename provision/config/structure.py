"""Validate keys and types of values against the model, and report it in the words of the file."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, get_args

from pydantic import ValidationError

from provision.config.schema import section_of, sections
from provision.config.yaml.problem import Key, Problem, closest, quote
from provision.model.cluster import VirtualAddress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

    from provision.config.formats import FileFormat

_NEEDED = {
    "string_type": "text",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


def validate_structure(
    data: Mapping[str, object], raw_values: Mapping[Key, str], form: FileFormat
) -> list[Problem]:
    """Return every unknown or missing key and every value of a wrong type; `raw_values` has the scalars as written."""
    found = list(form.needs(data))
    try:
        form.model.model_validate(data)
    except ValidationError as failure:
        errors = [_of_branch(error) for error in failure.errors(include_url=False)]
        found += [_problem(error, raw_values, form) for error in errors if error]
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
    """Return the error of the branch of a union that the value belongs to; None for one of the other branch."""
    above, branch, below = error["loc"][:1], error["loc"][1:2], error["loc"][2:]
    if above != ("endpoint",) or branch not in {("str",), (VirtualAddress.__name__,)}:
        return error
    is_mapping = isinstance(error["input"], dict)
    if not below and is_mapping != (branch != ("str",)):
        return None
    return {**error, "loc": (*above, *below)}


def _problem(error: ErrorDetails, raw_values: Mapping[Key, str], form: FileFormat) -> Problem:
    key: Key = error["loc"]
    kind, value = error["type"], error["input"]
    if kind == "extra_forbidden":
        return _unknown(key, form)
    if kind == "missing":
        return _missing(key, form)
    if kind == "literal_error" and isinstance(value, str):
        return _choice(key, value, form)
    needed = "text" if kind == "literal_error" else _NEEDED.get(kind, "something else")
    raw = raw_values.get(key, "")
    return Problem(
        key,
        "type",
        f"{_describe(value, raw)}; {needed} is needed",
        _version_fix(raw, form) if key == ("kubernetes",) else _type_fix(value, raw, needed),
    )


def _unknown(key: Key, form: FileFormat) -> Problem:
    *above, name = key
    word = str(name)
    section = section_of(form.model, tuple(above)) or form.model
    near = _known_key(_snake(word), section, form) or closest(word, section.model_fields)
    fix = _did_you_mean(near) if near else f"known here: {', '.join(section.model_fields)}"
    return Problem(key, "unknown-key", "there is no such key", fix)


def _snake(word: str) -> str:
    """`podCidr` -> `pod_cidr`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", word).lower().replace("-", "_")


def _known_key(word: str, section: type[BaseModel], form: FileFormat) -> str:
    """Return the path of the key that other tools, or other sections of the file, call so; "" if there is none."""
    name = form.words.get(word, word)
    if "." in name or name in section.model_fields:
        return name
    for path, other in sections(form.model).items():
        if name in other.model_fields:
            return ".".join((*path, name))
    return ""


def _missing(key: Key, form: FileFormat) -> Problem:
    field = _field(key, form)
    name, meaning = key[-1], field.description if field else ""
    choices = _choices(key, form)
    example = choices[0] if choices else str(field.examples[0]) if field and field.examples else "..."
    quoted = f'"{example}"' if name == "kubernetes" else example
    return Problem(key, "missing-key", f"{name} is missing ({meaning})", f"add `{name}: {quoted}`")


def _choice(key: Key, value: str, form: FileFormat) -> Problem:
    choices = _choices(key, form)
    near = form.choices.get(value.lower(), "")
    near = near if near in choices else closest(value, choices)
    message = f"{quote(value)} is none of {', '.join(choices)}"
    fix = _did_you_mean(near) if near else f"write {' or '.join(choices)}"
    if len(choices) == 1:
        message, fix = f"{quote(value)} is not known to this release", f"write {choices[0]}"
    return Problem(key, "choice", message, fix)


def _choices(key: Key, form: FileFormat) -> tuple[str, ...]:
    """Return the allowed texts of a key, or of an item of a list; () where any text is allowed."""
    if key == ("provider",):
        return ("kubeadm", "eks") if form.name == "kubeadm" else ("eks", "kubeadm")
    field = _field(key, form)
    arguments = get_args(field.annotation) if field else ()
    if arguments and isinstance(key[-1], int):
        arguments = get_args(arguments[0])
    return tuple(choice for choice in arguments if isinstance(choice, str))


def _field(key: Key, form: FileFormat) -> FieldInfo | None:
    """Return the field at a key; the list's where the key is an item of a list of texts."""
    *above, name = key[:-1] if isinstance(key[-1], int) else key
    section = section_of(form.model, tuple(above))
    return section.model_fields.get(str(name)) if section else None


def _describe(value: object, raw: str) -> str:
    if value is None:
        return (
            "nothing is here (null)" if not raw else f"{quote(raw)} without quotes is nothing (null) to YAML"
        )
    if isinstance(value, bool):
        return f"{quote(raw)} without quotes is {str(value).lower()} to YAML"
    if isinstance(value, (int, float)):
        same = raw == str(value)
        return f"{quote(raw)} is a number" if same else f"YAML reads {quote(raw)} as the number {value}"
    if isinstance(value, dt.date):
        return f"{quote(raw)} without quotes is a date to YAML"
    if isinstance(value, str):
        return f"{quote(value)} is text"
    return "a list is here" if isinstance(value, tuple) else "a mapping is here"


def _version_fix(raw: str, form: FileFormat) -> str:
    return f"write it in quotes: {form.quoted(raw)}"


def _type_fix(value: object, raw: str, needed: str) -> str:
    if needed == "text" and not isinstance(value, (dict, tuple)):
        return f'write "{quote(raw)}" in quotes' if raw else "write a value, or take the key out"
    if needed == "a whole number" and isinstance(value, str) and value.isdecimal():
        return f"write {quote(value)} without quotes"
    if (
        needed == "true or false"
        and isinstance(value, str)
        and value.lower() in {"true", "false", "yes", "no"}
    ):
        return f"write {'true' if value.lower() in {'true', 'yes'} else 'false'} without quotes"
    if needed == "a list" and isinstance(value, str):
        return f"write [{quote(value)}]"
    if needed == "a list" and isinstance(value, dict):
        return "begin each entry with `- `"
    return "take the key out to have its default" if value is None else ""
