"""Insert, remove and change hosts in the text of a cluster file.

The text is cut where YAML's own parser found values to begin and end, so that comments, order, quotes and columns stay
unchanged. A new host is written in the style of its neighbours.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import yaml

from provision.config.yaml.syntax import flow_mapping, scalar
from provision.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from provision.model.cluster import Host

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class HostsText:
    """The text of a valid cluster file with `hosts` in it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._line_end = "\r\n" if "\r\n" in text else "\n"
        root = yaml.compose(text, Loader=_LOADER)
        pairs = root.value if isinstance(root, yaml.MappingNode) else []
        found = [value for key, value in pairs if key.value == "hosts"]
        if not found or not isinstance(found[0], yaml.SequenceNode) or not found[0].value:
            raise FileError(
                "the file has no list of hosts that could be edited", fix="write `hosts:` with a list"
            )
        self._hosts: yaml.SequenceNode = found[0]

    def with_hosts(self, hosts: Sequence[Host]) -> str:
        """Return the text with each host behind the last one of its role, or at the end; existing hosts stay."""
        last = {_value(item, "role"): position for position, item in enumerate(self._hosts.value)}
        new: dict[int, str] = {}
        for host in hosts:
            if self._index(host.name) is None:
                position = last.get(host.role, len(self._hosts.value) - 1)
                new[position] = new.get(position, "") + self._written(host, self._hosts.value[position])
        text = self.text
        for position in sorted(new, reverse=True):
            place = _end(self._hosts.value[position])
            place = place if self._hosts.flow_style else self._next_line(place)
            ended = self._hosts.flow_style or self.text[:place].endswith("\n")
            text = text[:place] + ("" if ended else self._line_end) + new[position] + text[place:]
        return text

    def _written(self, host: Host, neighbour: yaml.Node) -> str:
        pairs = host_pairs(host)
        if self._hosts.flow_style:
            return f",{self._gap_between_items()}{_flow(pairs)}"
        indent = " " * self._hosts.start_mark.column
        if isinstance(neighbour, yaml.CollectionNode) and neighbour.flow_style:
            return f"{indent}- {_flow(pairs)}{self._line_end}"
        inner = " " * max(neighbour.start_mark.column, len(indent) + 2)
        first = f"{indent}-".ljust(len(inner))
        lines = (
            f"{inner if number else first}{key}: {value}{self._line_end}"
            for number, (key, value) in enumerate(pairs.items())
        )
        return "".join(lines)

    def without_hosts(self, names: Collection[str]) -> str:
        """Return the text without these hosts and the comments in their lines; unknown names are ignored."""
        items = self._hosts.value
        kept = [item for item in items if _value(item, "name") not in names]
        if self._hosts.flow_style:
            removed = [i for i, item in enumerate(items) if item not in kept]
            cuts = [
                self._flow_cut(index, first=removed[: index + 1] == list(range(index + 1)))
                for index in removed
            ]
        else:
            cuts = [
                (self._dash_line(item), self._next_line(_end(item))) for item in items if item not in kept
            ]
        text = self.text
        for begin, end in reversed(cuts):
            text = text[:begin] + text[end:]
        return text

    def _flow_cut(self, index: int, *, first: bool) -> tuple[int, int]:
        """Return the range of an item of `[{...}, {...}]` with the comma before it, or behind it if it is the first."""
        items = self._hosts.value
        if first and index + 1 < len(items):
            return items[index].start_mark.index, items[index + 1].start_mark.index
        begin = _end(items[index - 1]) if index else items[index].start_mark.index
        return begin, _end(items[index])

    def with_value(self, name: str, key: str, value: str | int | None) -> str:
        """Return the text with a host's key set to a value, or (None) removed; unchanged without that host."""
        index = self._index(name)
        item = self._hosts.value[index] if index is not None else None
        if not isinstance(item, yaml.MappingNode):
            return self.text
        position = next((i for i, (k, _) in enumerate(item.value) if k.value == key), None)
        if value is None:
            return self.text if position is None else self._without_pair(item, position)
        written = scalar(value) if isinstance(value, str) else str(value)
        if position is not None:
            old = item.value[position][1]
            return self.text[: old.start_mark.index] + written + self.text[_end(old) :]
        last_key, last = item.value[-1]
        if item.flow_style:
            return self._insert(_end(last), f", {key}: {written}")
        place = self._next_line(_end(last))
        missing = "" if self.text[:place].endswith("\n") else self._line_end
        indent = " " * last_key.start_mark.column
        return self._insert(place, f"{missing}{indent}{key}: {written}{self._line_end}")

    def _without_pair(self, item: yaml.MappingNode, position: int) -> str:
        key, value = item.value[position]
        if item.flow_style or position == 0:  # the first pair of a block shares its line with the dash
            if position + 1 < len(item.value):
                return self._cut(key.start_mark.index, item.value[position + 1][0].start_mark.index)
            begin = _end(item.value[position - 1][1]) if position else key.start_mark.index
            return self._cut(begin, _end(value))
        return self._cut(self._line_start(key.start_mark.index), self._next_line(_end(value)))

    def _index(self, name: str) -> int | None:
        return next((i for i, item in enumerate(self._hosts.value) if _value(item, "name") == name), None)

    def _gap_between_items(self) -> str:
        """Return the text between two items of a flow list behind the comma: a blank, or a line end and an indent."""
        items = self._hosts.value
        if len(items) > 1:
            between = self.text[_end(items[0]) : items[1].start_mark.index].partition(",")[2]
            if not between.strip():
                return between or " "
        before = self.text[self._line_start(items[0].start_mark.index) : items[0].start_mark.index]
        return " " if before.strip() else f"{self._line_end}{before}"

    def _dash_line(self, item: yaml.Node) -> int:
        """Return the index of the line with an item's dash: above the item if a comment follows the dash."""
        begin = self._line_start(item.start_mark.index)
        dash = re.compile(rf" {{{self._hosts.start_mark.column}}}-(\s|$)")
        while not dash.match(self.text, begin):
            begin = self._line_start(begin - 1)
        return begin

    def _line_start(self, index: int) -> int:
        return self.text.rfind("\n", 0, index) + 1

    def _next_line(self, index: int) -> int:
        found = self.text.find("\n", index)
        return len(self.text) if found < 0 else found + 1

    def _insert(self, index: int, new: str) -> str:
        return self.text[:index] + new + self.text[index:]

    def _cut(self, begin: int, end: int) -> str:
        return self.text[:begin] + self.text[end:]


def _end(node: yaml.Node) -> int:
    """Return the index behind a value. The end mark of a block is behind the comments and empty lines that follow."""
    if not isinstance(node, yaml.CollectionNode) or node.flow_style or not node.value:
        return int(node.end_mark.index)
    last = node.value[-1]
    return _end(last[1] if isinstance(node, yaml.MappingNode) else last)


def _value(item: yaml.Node, key: str) -> str:
    """Return the text of a host's key, also of mappings that it merges (`<<`); "" if there is none."""
    if not isinstance(item, yaml.MappingNode):
        return ""
    for name, value in item.value:
        if name.value == key and isinstance(value, yaml.ScalarNode):
            return str(value.value)
    merged = [value for name, value in item.value if name.value == "<<"]
    return next((found for value in merged if (found := _value(value, key))), "")


def host_pairs(host: Host) -> dict[str, str]:
    """Return the keys of a host and their values as YAML; defaults are left out."""
    pairs = {"name": scalar(host.name), "address": scalar(host.address), "role": host.role}
    if host.port is not None:
        pairs["port"] = str(host.port)
    for key, value in (("user", host.user), ("host_key", host.host_key)):
        if value is not None:
            pairs[key] = scalar(value)
    if host.labels:
        pairs["labels"] = flow_mapping(host.labels)
    if host.taints:
        pairs["taints"] = f"[{', '.join(map(json.dumps, host.taints))}]"
    return pairs


def _flow(pairs: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in pairs.items()) + "}"
