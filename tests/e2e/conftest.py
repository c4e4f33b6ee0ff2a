"""Tests on real machines: run wherever they can; where they cannot, skipped on a desk and failed in CI."""

from __future__ import annotations

import os
import shutil

import pytest

# What tests share asserts, too: pytest shows the values there as it does in tests.
pytest.register_assert_rewrite(
    "tests.e2e.control_planes", "tests.e2e.asking", "tests.e2e.rig", "tests.e2e.striking"
)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("lab") is None:
        return
    reason = why_not()
    if reason and os.environ.get("CI"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


def why_not() -> str:
    """Why no lab can be made here; empty where it can."""
    if os.geteuid() != 0:
        return "the lab needs root: run the tests with sudo"
    if shutil.which("apt-get") is None and shutil.which("mmdebstrap") is None:
        return "the lab needs Debian's mmdebstrap, which unpacks the machines' system"
    return ""
