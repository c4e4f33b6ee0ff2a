"""Files that are not YAML, or not text, are explained in one line."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from .factories import GOOD, changed, findings_of, findings_of_bytes, kubeadm_file, only


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("name: demo\nnetwork:\n\tpod_cidr: x\n", 3, "a tab"),
        ("name: demo\nkubernetes: `id`\n", 2, "text cannot begin with `"),
        ("name: demo\nkubernetes: @x\n", 2, "text cannot begin with @"),
        ("name: demo\nkubernetes: 'x\nruntime: y\n", 2, "a quote that opens here is never closed"),
        ("name: demo\nhosts: [1, 2\nruntime: y\n", 2, "`[` is not closed"),
        ("name: demo\nhosts: {a: 1, b: 2\n", 2, "`{` is not closed"),
        ("name: demo: x\n", 1, "a second `: ` in one line"),
        ("name: demo\nkubernetes\nruntime: x\n", 2, "not `key: value`"),
        ("hosts:\n  - name: a\n   address: b\n", 3, "indentation"),
        ("name: *nope\n", 1, "names no anchor"),
        ('name: "a\\qb"\n', 1, "backslash"),
        ("name: a\n---\nname: b\n", 2, "second document"),
        ("- a\n- b\n", 1, "is a list"),
        ("just words\n", 1, "a single value"),
    ],
)
def test_a_syntax_error_is_explained_at_its_line(text: str, line: int, words: str) -> None:
    finding = only(findings_of(text))
    assert finding.where == f"cluster.yaml:{line}"
    assert words in finding.message


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n", "null\n", "~\n"])
def test_an_empty_file_is_refused_with_the_command_that_writes_one(text: str) -> None:
    finding = only(findings_of(text))
    assert finding.message == "the file is empty"
    assert "provision init" in finding.fix


def test_a_duplicate_key_names_both_lines() -> None:
    finding = only(findings_of(changed(add='kubernetes: "1.35.4"\n')))
    assert (finding.where, finding.key) == ("cluster.yaml:8", "kubernetes")
    assert "line 2" in finding.message


def test_a_key_in_braces_is_refused_as_a_template() -> None:
    found = findings_of(changed(("name: demo", "name: {{ name }}")))
    assert any("key is a mapping" in finding.message for finding in found)


def test_a_tag_is_refused() -> None:
    finding = only(findings_of(changed(("name: demo", "name: !!python/name:os.system demo"))))
    assert "!!python/name:os.system" in finding.message


def test_anchors_and_merge_keys_are_understood() -> None:
    text = """\
name: demo
kubernetes: "1.36.3"
hosts:
  - &first {name: cp1, address: 10.0.0.11, role: control-plane, user: root}
  - {name: w1, <<: *first, address: 10.0.0.21, role: worker}
"""
    loaded = kubeadm_file(text)
    assert loaded.cluster.hosts[1].user == "root"
    assert loaded.cluster.hosts[1].name == "w1"


def test_exponential_aliases_are_refused() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 10)
    )
    assert "aliases" in only(findings_of(bomb)).message


def test_an_alias_of_itself_is_refused() -> None:
    assert "aliases" in only(findings_of("name: &a [*a]\n")).message


@pytest.mark.parametrize("sign", ["[", "{a: ", "- ", "? "])
def test_endless_nesting_is_refused_and_crashes_nothing(sign: str) -> None:
    assert only(findings_of(sign * 100_000)).check in {"nesting", "yaml"}


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"name: d\xe9mo\n", "byte 0xe9 is not UTF-8"),
        (GOOD.encode("utf-16"), "UTF-16"),
        (b"name: a\nkubernetes: \x00\n", "U+0000"),
        (b"name: \x1b[31mred\n", "U+001B"),
        (b"\x7fELF\x02\x01\x01\x00\x00\xff\xfe", "not UTF-8"),
    ],
)
def test_bytes_that_are_not_utf_8_text_are_explained(raw: bytes, words: str, tmp_path: Path) -> None:
    assert words in only(findings_of_bytes(raw, tmp_path)).message


@pytest.mark.parametrize("raw", [b"\xef\xbb\xbf" + GOOD.encode(), GOOD.replace("\n", "\r\n").encode()])
def test_a_byte_order_mark_and_windows_line_endings_are_accepted(raw: bytes, tmp_path: Path) -> None:
    assert findings_of_bytes(raw, tmp_path) == ()


def test_ten_megabytes_are_refused_unread(tmp_path: Path) -> None:
    finding = only(findings_of_bytes(b"#" * 10 * 1024 * 1024, tmp_path))
    assert finding.check == "file-size"


def test_garbage_always_ends_in_findings() -> None:
    seed = random.Random(7)  # noqa: S311 repeatable, nothing secret
    signs = "".join(chr(number) for number in range(32, 127)) + "\n\n\n  --::[]{}&*!|>é\x85"
    for _ in range(1500):
        text = list(GOOD)
        for _ in range(seed.randint(1, 8)):
            text[seed.randrange(len(text))] = seed.choice(signs)
        found = findings_of("".join(text))
        assert all("\n" not in finding.message and finding.where for finding in found)
