"""Until when EKS supports a minor of Kubernetes: what AWS says, else the dated table of `versions.yaml`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files

import yaml
from pydantic import BaseModel, ConfigDict


class Support(BaseModel):
    """The last days of standard support and of extended support, which costs more."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    standard: date
    extended: date


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    as_of: str
    minors: dict[str, Support]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """Support per minor ("1.35"). `source` is "" for AWS's own answer, else the date of the bundled table."""

    minors: Mapping[str, Support]
    source: str = ""

    def extended(self, minor: str, today: date) -> bool:
        """Whether the minor is past its standard support; False if it is not known."""
        support = self.minors.get(minor)
        return support is not None and support.standard < today


@cache
def bundled() -> Calendar:
    text = files(__package__).joinpath("versions.yaml").read_text()
    table = _Table.model_validate(yaml.safe_load(text))
    return Calendar(minors=table.minors, source=table.as_of)
