"""The cluster file as types: what its keys are, for the loader, for editors and for the reference page."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from pydantic import BaseModel, Field

from provision.model import Cluster, Host

if TYPE_CHECKING:
    from provision.config.problem import Key


class ClusterFile(Cluster):
    """A cluster that provision creates, looks after and upgrades. Only kubeadm is a provider so far."""

    hosts: tuple[Host, ...] = Field(default=(), description="the machines, unless `inventory` lists them")
    inventory: str | None = Field(
        default=None,
        description="an Ansible inventory (file, directory, script or plugin's configuration, relative to "
        "the cluster file) that lists the hosts in groups `control_plane` and `workers`, instead of `hosts`",
        examples=["hosts.yml"],
    )


def sections() -> dict[tuple[str, ...], type[BaseModel]]:
    """Return every mapping of the file by its path: `()` the file itself, `("hosts",)` one of its hosts."""
    found: dict[tuple[str, ...], type[BaseModel]] = {(): ClusterFile}
    for name, field in ClusterFile.model_fields.items():
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                found[(name,)] = kind
    return found


def section_of(key: Key) -> type[BaseModel] | None:
    """Return the type of the mapping at a key, or None if the file has no mapping with known keys there."""
    return sections().get(tuple(part for part in key if isinstance(part, str)))


def schema() -> dict[str, object]:
    """Return the JSON Schema (2020-12) of the file. What it cannot say, `provision check` says."""
    made: dict[str, object] = ClusterFile.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **made,
        "title": "provision cluster file",
        "oneOf": [{"required": ["hosts"]}, {"required": ["inventory"]}],
    }
