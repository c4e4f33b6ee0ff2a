"""What values of a file of provider eks may be. All pure, all always run, like those of kubeadm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.config.rules import names
from provision.config.rules.rulebook import Rulebook

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from provision.config.problem import Problem


def problems_of_values(data: Mapping[str, object]) -> Iterator[Problem]:
    """Yield what every rule finds in plain data (dicts, tuples, scalars), single values first."""
    yield from _RULES.problems(data)


_RULES = Rulebook(texts={("name",): names.cluster_name}, numbers={}, comparing=())
