from __future__ import annotations

import html
import re

from docs import picture
from provision.report.json_lines import event_line

from . import a_run


def test_the_picture_of_a_recorded_run_shows_its_table_at_that_time() -> None:
    journal = "".join(f"{event_line(event)}\n" for event in a_run.FAILED)

    svg = picture.draw(picture.read_journal(journal), 20)

    text = html.unescape("".join(re.findall(r"<text [^>]*>(.*?)</text>", svg))).replace("\xa0", " ")
    assert "w1: turned swap off: /swapfile" in text
    assert "w1: Join the cluster" in text
    assert "1 of 3 steps, 20 s" in text
    assert "kubeadm join failed" not in text
    assert "url(http" not in svg
