from __future__ import annotations

from typing import get_args

from provision.config.rules.kubernetes import NOT_SUPPORTED_YET
from provision.model.cluster import Runtime
from provision.providers.kubeadm.runtimes import RUNTIMES


def test_each_runtime_of_the_file_is_either_installed_by_a_step_or_refused_by_a_rule() -> None:
    refused = {value for (key, value) in NOT_SUPPORTED_YET if key == ("runtime",)}

    assert set(get_args(Runtime)) == RUNTIMES.keys() | refused
    assert not RUNTIMES.keys() & refused
