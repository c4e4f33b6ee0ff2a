"""The fixture `aws`: an empty account, over real HTTP, for each test that asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.aws.account import AwsAccount


@pytest.fixture(scope="session")
def _aws_server() -> Iterator[AwsAccount]:
    # moto is slow to import: only with the first test that needs it.
    from tests.aws.account import start_account  # noqa: PLC0415

    account = start_account()
    yield account
    account.stop()


@pytest.fixture
def aws(_aws_server: AwsAccount, monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsAccount]:
    """The empty account, with its environment set; asserts afterwards that the shim had no errors."""
    _aws_server.reset()
    for name, value in _aws_server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    yield _aws_server
    assert _aws_server.shim_errors == ()
