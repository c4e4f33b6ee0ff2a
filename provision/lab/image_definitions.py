"""What the images of the lab's registry are made of: `lab/images/images.yaml`, typed."""

from __future__ import annotations

from collections.abc import Mapping

import yaml
from pydantic import BaseModel, ConfigDict, Field

from provision.paths import content_root

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Tree(_Frozen):
    """A small Debian: packages unpacked without running their scripts, less what matches `without` (globs)."""

    suite: str
    packages: tuple[str, ...]
    without: tuple[str, ...]


class Definition(_Frozen):
    """One image. Paths are absolute in the image; values of `copies` are `<group of binaries>/<path>`.

    `make` has directories as path -> `<owner>:<octal mode>`, `links` symbolic links as path -> target.
    """

    copies: Mapping[str, str] = Field(default={}, alias="copy")
    make: Mapping[str, str] = {}
    links: Mapping[str, str] = {}
    tree: bool = False
    environment: Mapping[str, str] = {}
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    user: str = ""

    def groups(self) -> frozenset[str]:
        """Groups of binaries that it copies from."""
        return frozenset(source.partition("/")[0] for source in self.copies.values())

    def settings(self) -> dict[str, object]:
        """The part of the OCI configuration that says how a container of it starts."""
        settings: dict[str, object] = {
            "Env": [f"{name}={value}" for name, value in {"PATH": _PATH, **self.environment}.items()],
            "WorkingDir": "/",
        }
        if self.entrypoint:
            settings["Entrypoint"] = list(self.entrypoint)
        if self.command:
            settings["Cmd"] = list(self.command)
        if self.user:
            settings["User"] = self.user
        return settings


class ImageDefinitions(_Frozen):
    """The whole file: the tree that some stand on, and the images by repository (`quay.io/calico/node`)."""

    tree: Tree
    images: Mapping[str, Definition]


def image_definitions() -> ImageDefinitions:
    """The parsed file of this release."""
    text = (content_root() / "lab" / "images" / "images.yaml").read_text()
    return ImageDefinitions.model_validate(yaml.safe_load(text))
