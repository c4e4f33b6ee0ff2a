"""Programs that build what a mirror holds: their failures are readable."""

from __future__ import annotations

import pytest

from provision.errors import ToolError
from provision.mirror.tools import run


def test_a_program_that_fails_is_an_error_with_its_last_lines() -> None:
    with pytest.raises(ToolError) as caught:
        run(["sh", "-c", "echo first; echo last >&2; exit 3"])

    assert "sh failed with exit code 3" in str(caught.value)
    assert caught.value.detail == ("first", "last")
