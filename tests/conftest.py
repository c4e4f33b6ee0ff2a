"""Shared fixtures: golden files, compared by default and rewritten by `pytest --update-golden`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

pytest_plugins = ["tests.aws.fixtures"]

_GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="rewrite tests/golden with the current output"
    )
    parser.addoption(
        "--every-kill", action="store_true", help="EKS: kill a run after every single call, not after some"
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """`golden("plans/fresh.txt", text)`: assert that the file below tests/golden has this text."""

    def compare(name: str, text: str) -> None:
        path = _GOLDEN / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.is_file(), f"{path} is missing: `pytest --update-golden` writes it, then read it"
        assert text == path.read_text(encoding="utf-8"), "if intended: `pytest --update-golden`"

    return compare
