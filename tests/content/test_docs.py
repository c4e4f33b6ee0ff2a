"""Pages of documentation: relative links lead to files, commands in them exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.main import get_command

from provision.cli import app

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#\s]+)", page.read_text(encoding="utf-8"))

    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_that_a_page_shows_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    code = re.findall(r"^```.*?^```|`[^`\n]+`", text, re.MULTILINE | re.DOTALL)
    shown = {
        words
        for part in code
        for words in re.findall(r"^`?(?:\$ )?(?:sudo )?provision ((?:[a-z]+\b ?)+)", part, re.MULTILINE)
    }

    assert [words for words in sorted(shown) if not is_command(words.split())] == []


def test_an_unknown_command_is_recognised() -> None:
    assert is_command(["node", "add"])
    assert is_command(["apply"])
    assert not is_command(["node", "create"])
    assert not is_command(["deploy"])


def is_command(words: list[str]) -> bool:
    """Whether the words begin with the path of a command; what follows are its arguments."""
    command = get_command(app)
    for word in words:
        children = getattr(command, "commands", {})
        if not children:
            return True
        if word not in children:
            return False
        command = children[word]
    return True
