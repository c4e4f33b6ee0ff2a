"""Validation of values against botocore's shapes: unknown members, missing ones and wrong types."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StringShape, StructureShape

_SCALARS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "timestamp": (datetime,),
    "blob": (bytes,),
}


def faults(value: Any, shape: Shape, path: str = "") -> Iterator[str]:
    """Problems of `value`, each as "where: what"; empty if it is valid.

    An empty list or map is valid: AWS returns them where its model requires at least one entry.
    """
    if isinstance(shape, StructureShape):
        yield from _structure(value, shape, path)
    elif isinstance(shape, ListShape):
        if not isinstance(value, list):
            yield f"{path}: {value!r} is no list"
            return
        yield from _size(len(value), shape, path, "items")
        for index, item in enumerate(value):
            yield from faults(item, shape.member, f"{path}[{index}]")
    elif isinstance(shape, MapShape):
        if not isinstance(value, dict):
            yield f"{path}: {value!r} is no map"
            return
        yield from _size(len(value), shape, path, "entries")
        for key, item in value.items():
            yield from faults(key, shape.key, f"{path}.key")
            yield from faults(item, shape.value, f"{path}.{key}")
    else:
        yield from _scalar(value, shape, path)


def _structure(value: Any, shape: StructureShape, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: {value!r} is no structure {shape.name}"
        return
    for name in shape.required_members:
        if name not in value:
            yield f"{path}.{name}: is missing"
    for name, item in value.items():
        member = shape.members.get(name)
        if member is None:
            yield f"{path}.{name}: {shape.name} has no such member"
        else:
            yield from faults(item, member, f"{path}.{name}")


def _scalar(value: Any, shape: Shape, path: str) -> Iterator[str]:
    kinds = _SCALARS[shape.type_name]
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        yield f"{path}: {value!r} is no {shape.type_name}"
        return
    if isinstance(shape, StringShape) and shape.enum and value not in shape.enum:
        yield f"{path}: {value!r} is none of {', '.join(shape.enum)}"
    pattern = shape.metadata.get("pattern")
    if pattern and isinstance(value, str) and not re.fullmatch(pattern, value):
        yield f"{path}: {value!r} does not match {pattern}"
    if isinstance(value, str):
        yield from _size(len(value), shape, path, "characters")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _size(value, shape, path, "")


def _size(size: float, shape: Shape, path: str, what: str) -> Iterator[str]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and size < least and (size or not what.endswith(("items", "entries"))):
        yield f"{path}: {size} {what} are fewer than {least}"
    if most is not None and size > most:
        yield f"{path}: {size} {what} are more than {most}"
