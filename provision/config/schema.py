"""The keys of the cluster file as types, for the loader, as JSON Schema and for the reference page."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, get_args

from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema

from provision.model.cluster import Cluster, Host
from provision.model.eks import EksCluster

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic.json_schema import JsonSchemaMode

    from provision.config.yaml.problem import Key


class ClusterFile(Cluster):
    """A file of provider kubeadm: existing machines become a cluster."""

    hosts: tuple[Host, ...] = Field(default=(), description="the machines, unless `inventory` lists them")
    inventory: str | None = Field(
        default=None,
        description="an Ansible inventory (file, directory, script or plugin's configuration, relative to "
        "the cluster file) that lists the hosts in groups `control_plane` and `workers`, instead of `hosts`",
        examples=["hosts.yml"],
    )


@cache
def sections(model: type[BaseModel]) -> Mapping[tuple[str, ...], type[BaseModel]]:
    """Return the type of every mapping of a file by its path: `()` is the file, `("hosts",)` one of its hosts."""
    found: dict[tuple[str, ...], type[BaseModel]] = {(): model}
    for name, field in model.model_fields.items():
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                found |= {(name, *path): section for path, section in sections(kind).items()}
    return found


def section_of(model: type[BaseModel], key: Key) -> type[BaseModel] | None:
    """Return the type of the mapping at a key, or None if the file has no mapping with known keys there."""
    return sections(model).get(tuple(part for part in key if isinstance(part, str)))


def schema() -> dict[str, object]:
    """Return the JSON Schema (2020-12) of the file, by provider. `provision check` finds what it cannot express."""
    wanted: list[tuple[type[BaseModel], JsonSchemaMode]] = [
        (ClusterFile, "validation"),
        (EksCluster, "validation"),
    ]
    _, result = models_json_schema(wanted)
    result["$defs"]["ClusterFile"]["oneOf"] = [{"required": ["hosts"]}, {"required": ["inventory"]}]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "provision cluster file",
        "type": "object",
        "if": {"properties": {"provider": {"const": "eks"}}, "required": ["provider"]},
        "then": {"$ref": "#/$defs/EksCluster"},
        "else": {"$ref": "#/$defs/ClusterFile"},
        **result,
    }
