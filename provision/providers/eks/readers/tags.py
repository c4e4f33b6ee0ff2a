"""Tags as AWS lists them, as a mapping."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def mapping(listed: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Of `[{"Key": "team", "Value": "platform"}]`."""
    return {tag["Key"]: tag["Value"] for tag in listed}


def listing(tags: Mapping[str, str]) -> list[Any]:
    """The other way round."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]
