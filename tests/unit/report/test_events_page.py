from __future__ import annotations

import dataclasses
import re

from provision.engine import events
from provision.paths import content_root


def test_the_page_about_the_command_line_names_every_event_and_every_field() -> None:
    page = (content_root() / "docs" / "command-line.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", page, re.MULTILINE))

    for kind in events.Event.__subclasses__():
        name = re.sub(r"(?<!^)(?=[A-Z])", "-", kind.__name__).lower()
        fields = [field.name for field in dataclasses.fields(kind) if field.name != "at"]
        assert all(f"`{field}`" in rows[name] for field in fields), name
