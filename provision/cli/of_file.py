"""What every goal on a kubeadm file has in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from provision.report.text import counted

if TYPE_CHECKING:
    from provision.config import Loaded
    from provision.model import Cluster


@dataclass(frozen=True, slots=True)
class OfFile:
    """`loaded` is the file as it is to be."""

    loaded: Loaded[Cluster]

    @property
    def wanted(self) -> Cluster:
        return self.loaded.cluster

    @property
    def cluster(self) -> str:
        return self.wanted.name

    @property
    def lock(self) -> str:
        return self.wanted.name

    @property
    def subject(self) -> str:
        return counted(len(self.wanted.hosts), "host")

    def begin(self, _seen: object) -> None:
        """Nothing comes before the first step."""
