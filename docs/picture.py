"""A terminal's screen as an SVG picture for the README, so that the picture is what was really seen.

usage: tmux capture-pane -p -e -t NAME | python docs/picture.py docs/apply.svg
"""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text


def picture(ansi: str) -> str:
    """The SVG of a screen that was captured with its colours; nothing in it is loaded from elsewhere."""
    lines = ansi.rstrip().splitlines()
    width = max(Text.from_ansi(line).cell_len for line in lines)
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True)
    for line in lines:
        console.print(Text.from_ansi(line), no_wrap=True, crop=False)
    svg = console.export_svg(title="provision apply")
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL).replace("Fira Code", "monospace")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(picture(sys.stdin.read()))
