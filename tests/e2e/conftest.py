"""Skip tests on lab machines where no lab can run; fail them in CI."""

from __future__ import annotations

import os
import shutil

import pytest

# These modules contain assertions: let pytest show the values in them as in tests.
pytest.register_assert_rewrite(
    "tests.e2e.availability",
    "tests.e2e.control_planes",
    "tests.e2e.fault_injection",
    "tests.e2e.host_state",
    "tests.e2e.lab_cluster",
)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("lab") is None:
        return
    reason = lab_problem()
    if reason and os.environ.get("CI"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


def lab_problem() -> str:
    """The reason why no lab can run here; empty if it can."""
    if os.geteuid() != 0:
        return "the lab needs root: run the tests with sudo"
    if shutil.which("apt-get") is None and shutil.which("mmdebstrap") is None:
        return "the lab needs Debian's mmdebstrap, which unpacks the machines' system"
    return ""
