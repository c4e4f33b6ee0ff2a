"""Parse a YAML file to plain data that keeps the line of every key and value.

PyYAML's own loader keeps no positions, takes the last of duplicate keys, and limits neither nesting nor aliases
(libyaml's composer crashes on a long run of `[`). So the events are counted first, then the nodes are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml
from yaml.constructor import ConstructorError, SafeConstructor

from provision.config.yaml.problem import Key, Problem, quote
from provision.config.yaml.syntax import explain_parser_error, file_error

if TYPE_CHECKING:
    from collections.abc import Mapping

_LOADER = getattr(
    yaml, "CSafeLoader", yaml.SafeLoader
)  # libyaml where PyYAML was built with it: 10 times faster
_DEEPEST = 20  # the deepest key of a cluster file is hosts[0].labels.x: 4
_VALUES = 200_000  # 5,000 hosts, the most that Kubernetes supports, have about 50,000
_TAG = "tag:yaml.org,2002:"
_TEXT_TAGS = {f"{_TAG}str", f"{_TAG}value"}
_SCALAR_TAGS = {f"{_TAG}{name}" for name in ("null", "bool", "int", "float", "timestamp")}


@dataclass(frozen=True, slots=True)
class Document:
    """The content of a file: mappings are dicts with text keys, lists are tuples, scalars are as YAML reads them.

    `lines` has the 1-based line of every key and item, `raw` the text of every scalar as written (`1.30`, where
    `data` has the number 1.3), `problems` those that did not stop the parser (duplicate keys).
    """

    data: dict[str, object]
    lines: Mapping[Key, int]
    raw: Mapping[Key, str]
    problems: tuple[Problem, ...]


def parse(text: str, name: str) -> Document:
    """Read one YAML document that is a mapping.

    `name` is the file's path as given by the user. Raises FileError, with one finding, if it cannot be parsed.
    """
    try:
        _measure(text, name)
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        raise explain_parser_error(error, text, name) from error
    if root is None or (isinstance(root, yaml.ScalarNode) and root.tag == f"{_TAG}null"):
        fix = "`provision init kubeadm` writes one to start from"
        raise file_error(name, 0, "empty-file", "the file is empty", fix)
    line = root.start_mark.line + 1
    if not isinstance(root, yaml.MappingNode):
        kind = "a list" if isinstance(root, yaml.SequenceNode) else "a single value"
        raise file_error(
            name, line, "mapping", f"the file is {kind}; a mapping is needed", "begin it with `name:`"
        )
    reader = _Reader(name)
    reader.lines[()] = line
    data = reader.mapping(root, ())
    return Document(data, reader.lines, reader.raw, tuple(reader.problems))


def _measure(text: str, name: str) -> None:
    depth = documents = 0
    for event in yaml.parse(text, Loader=_LOADER):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.DocumentStartEvent):
            documents += 1
        if depth > _DEEPEST:
            message = f"nested more than {_DEEPEST} levels deep"
            raise file_error(name, line, "nesting", message, "close what was opened")
        if documents > 1:
            message = "a second document begins here (`---`)"
            raise file_error(name, line, "one-document", message, "use one file per cluster")


class _Reader:
    """Converts the nodes of one document, and keeps the line and the raw text of each value."""

    def __init__(self, name: str) -> None:
        self.lines: dict[Key, int] = {}
        self.raw: dict[Key, str] = {}
        self.problems: list[Problem] = []
        self._name = name
        self._constructor = SafeConstructor()
        self._open: set[int] = set()
        self._values = 0

    def mapping(self, node: yaml.MappingNode, key: Key) -> dict[str, object]:
        """Read a mapping; its own keys take precedence over those merged by `<<`, in whatever order."""
        values: dict[str, object] = {}
        for name, source in node.value:
            if name.tag == f"{_TAG}merge":
                self._merge(source, key, values)
        seen: dict[str, int] = {}
        for name, item in node.value:
            if name.tag == f"{_TAG}merge":
                continue
            line = name.start_mark.line + 1
            if not isinstance(name, yaml.ScalarNode):
                self._note(
                    key, "text-key", "a key is a mapping or a list", "put text with `{` in quotes", line
                )
                continue
            here = (*key, name.value)
            if name.value in seen:
                message = f"duplicate key (first in line {seen[name.value]})"
                self._note(here, "duplicate-key", message, "keep one", line)
                continue
            seen[name.value] = self.lines[here] = line
            values[name.value] = self._value(item, here)
        return values

    def _merge(self, source: yaml.Node, key: Key, values: dict[str, object]) -> None:
        for node in source.value if isinstance(source, yaml.SequenceNode) else (source,):
            merged = self._value(node, key)
            if not isinstance(merged, dict):
                line = node.start_mark.line + 1
                self._note(key, "merge-key", "`<<` merges a value that is not a mapping", "name one", line)
                continue
            for name, value in merged.items():
                values.setdefault(name, value)

    def _value(self, node: yaml.Node, key: Key) -> object:
        self._values += 1
        if self._values > _VALUES or id(node) in self._open:
            message = f"aliases (`*name`) repeat values without end, or more than {_VALUES} times"
            raise file_error(self._name, node.start_mark.line + 1, "aliases", message, "write the values out")
        if isinstance(node, yaml.ScalarNode):
            self.raw[key] = node.value
            return self._scalar(node, key)
        self._open.add(id(node))
        value = (
            self.mapping(node, key)
            if isinstance(node, yaml.MappingNode)
            else tuple(self._item(item, (*key, index)) for index, item in enumerate(node.value))
        )
        self._open.discard(id(node))
        return value

    def _item(self, node: yaml.Node, key: Key) -> object:
        self.lines[key] = node.start_mark.line + 1
        return self._value(node, key)

    def _scalar(self, node: yaml.ScalarNode, key: Key) -> object:
        if node.tag in _TEXT_TAGS:
            return node.value
        if node.tag not in _SCALAR_TAGS:
            tag = node.tag.replace(_TAG, "!!")
            line = node.start_mark.line + 1
            self._note(
                key, "tag", f"the tag {quote(tag)} is not understood here", "write a plain value", line
            )
            return node.value
        try:
            value: object = SafeConstructor.yaml_constructors[node.tag](self._constructor, node)
        except (ConstructorError, ValueError, OverflowError):
            return node.value  # 2026-13-45 has the form of a date, but is not one: keep the text
        return value

    def _note(self, key: Key, check: str, message: str, fix: str, line: int) -> None:
        self.problems.append(Problem(key, check, message, fix, line=line))
