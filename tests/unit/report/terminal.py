"""A terminal in memory: the live table writes to it as to a real one, cursor movement included."""

from __future__ import annotations

import io

import pyte
from rich.console import Console


class Terminal:
    """`console` writes to a terminal of `width` by `height` characters."""

    def __init__(self, width: int, height: int = 30) -> None:
        self._file = io.StringIO()
        self._size = (width, height)
        self.console = Console(
            file=self._file,
            width=width,
            height=height,
            force_terminal=True,
            force_interactive=True,
            color_system="standard",
            highlight=False,
            legacy_windows=False,
            _environ={"TERM": "xterm-256color"},
        )

    @property
    def written(self) -> str:
        """Everything that was sent to the terminal, escape sequences included."""
        return self._file.getvalue()

    @property
    def text(self) -> str:
        """What a person sees in the end, without blank lines below; no line was wrapped by the terminal."""
        width, height = self._size
        seen = self._screen(width, height)
        assert _lines(seen) == _lines(self._screen(2 * width, height)), "a line is longer than the terminal"
        return _lines(seen)

    @property
    def cursor(self) -> tuple[int, int]:
        """Column and row of the cursor, from 0."""
        cursor = self._screen(*self._size).cursor
        return cursor.x, cursor.y

    def _screen(self, width: int, height: int) -> pyte.Screen:
        screen = pyte.Screen(width, height)
        screen.set_mode(pyte.modes.LNM)  # a line feed also returns, as the kernel's ONLCR has it
        pyte.Stream(screen).feed(self.written)
        return screen


def _lines(screen: pyte.Screen) -> str:
    return "\n".join(line.rstrip() for line in screen.display).rstrip() + "\n"
