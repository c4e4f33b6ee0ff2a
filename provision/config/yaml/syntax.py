"""YAML text: decode a file, explain syntax errors, and write values so that YAML reads them back."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import yaml

from provision.errors import FileError
from provision.model.plan import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x85\u2028\u2029\ud800-\udfff\ufffe\uffff]")
_BARE = re.compile(r"[A-Za-z0-9_./~+][A-Za-z0-9_./~+@:=-]*( [A-Za-z0-9_./+@=-]+)*")
_INDENT = "the indentation does not fit the lines above"
_ALIGN = "begin the keys of one mapping, and the `-` of one list, in the same column"

# Part of the parser's message -> what it means, what to do.
_KNOWN = (
    (
        "mapping values are not allowed",
        "a second `: ` in one line, or wrong indentation",
        'put text that holds `: ` in quotes ("a: b"), and keys of one mapping in one column',
    ),
    (
        "could not find expected ':'",
        "this line is not `key: value`",
        "write a colon and a space after the key",
    ),
    ("unexpected end of stream", "a quote that opens here is never closed", "close it"),
    ("expected ',' or ']'", "a list that opens here with `[` is not closed", "close it with `]`"),
    ("expected ',' or '}'", "a mapping that opens here with `{` is not closed", "close it with `}`"),
    (
        "undefined alias",
        "an alias (`*name`) names no anchor (`&name`) above it",
        "put text with `*` in quotes",
    ),
    ("expected '-' indicator", _INDENT, _ALIGN),
    ("expected key", _INDENT, _ALIGN),
    ("expected <block end>", _INDENT, _ALIGN),
    ("expected <document start>", _INDENT, _ALIGN),
    ("unknown escape character", "a backslash in double quotes begins no known escape", "use single quotes"),
    ("expected node content", "a value is missing or begins with a sign that it cannot begin with", ""),
)


def file_error(name: str, line: int, check: str, message: str, fix: str = "") -> FileError:
    """Return the error for a file that cannot be read further; `line` 0 means the file as a whole."""
    where = f"{name}:{line}" if line else name
    finding = Finding.error(check, where, message, fix)
    return FileError(f"{where}: {message}", fix=fix, findings=(finding,))


def decode(raw: bytes, name: str) -> str:
    """Return the text of a file, without a byte order mark; raises FileError if it is not UTF-8 text."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise file_error(name, 1, "utf-8", "the file is UTF-16", "save it as UTF-8")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        seen = f"byte 0x{raw[error.start]:02x} is not UTF-8"
        raise file_error(name, line, "utf-8", seen, "save the file as UTF-8") from error
    odd = _CONTROL.search(text)
    if odd:
        line = text.count("\n", 0, odd.start()) + 1
        seen = f"a control character (U+{ord(odd[0]):04X})"
        raise file_error(name, line, "control-character", seen, "delete it")
    return text


def explain_parser_error(error: yaml.YAMLError, text: str, name: str) -> FileError:
    """Return the parser's error in plain words: the line that is wrong, not the one where it stopped, and a fix."""
    problem = str(getattr(error, "problem", None) or error).splitlines()[0]
    mark = getattr(error, "problem_mark", None)
    line, column = (mark.line, mark.column) if mark else (0, 0)
    lines = text.split("\n")
    current = lines[line] if line < len(lines) else ""
    if "cannot start any token" in problem or "\\t" in problem or "tab character" in problem:
        if "\t" in current[: column + 1]:
            fix = "indent with spaces"
            return file_error(name, line + 1, "yaml", "a tab is used for indentation", fix)
        sign = current[column : column + 1]
        return file_error(name, line + 1, "yaml", f"text cannot begin with {sign}", "put the value in quotes")
    for words, meaning, fix in _KNOWN:
        if words in problem:
            opened = getattr(error, "context_mark", None)
            if opened and ("close" in meaning or "key: value" in meaning):
                line = opened.line
            return file_error(name, line + 1, "yaml", meaning, fix)
    return file_error(name, line + 1, "yaml", f"this is not YAML: {problem}")


def scalar(text: str) -> str:
    """Return a text as YAML reads it back: bare where that is safe, else in double quotes."""
    bare = _BARE.fullmatch(text) and yaml.safe_load(f"[{text}]") == [text]
    return text if bare else json.dumps(text)


def flow_list(texts: Iterable[str]) -> str:
    """Return texts as a YAML list on one line."""
    return f"[{', '.join(scalar(text) for text in texts)}]"


def flow_mapping(pairs: Mapping[str, str]) -> str:
    """Return texts as a YAML mapping on one line."""
    return f"{{{', '.join(f'{scalar(name)}: {scalar(value)}' for name, value in pairs.items())}}}"
