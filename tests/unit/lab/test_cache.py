"""The build cache: intact entries are used, damaged ones built again."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from provision.lab.cache import cache_root, compute_key, get_or_build


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PROVISION_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Counted:
    """Builds two files and counts how often."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, into: Path) -> None:
        self.times += 1
        (into / "bin").mkdir()
        (into / "bin" / "tool").write_text("content")
        (into / "notes").write_text("more")


def silent(_line: str) -> None:
    """Discard progress."""


def build_once(build: Callable[[Path], None], lines: list[str] | None = None) -> Path:
    return get_or_build(
        "kind", "key", build, title="tool 1.0", progress=silent if lines is None else lines.append
    )


def test_an_entry_is_built_once_and_then_found(cache: Path) -> None:
    build = Counted()

    first, second = build_once(build), build_once(build)

    assert first == second == cache / "kind" / "key"
    assert (first / "bin" / "tool").read_text() == "content"
    assert build.times == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda place: (place / "bin" / "tool").write_text("cont"),
        lambda place: (place / "bin" / "tool").write_text("CONTENT"),
        lambda place: (place / "notes").unlink(),
        lambda place: (place / "extra").write_text(""),
        lambda place: (place / ".seal.json").unlink(),
        lambda place: (place / ".seal.json").write_text('{"bin/tool": ['),
    ],
    ids=["truncated", "same-size", "missing", "added", "unsealed", "half-seal"],
)
def test_a_damaged_entry_is_noticed_and_built_again(damage: Callable[[Path], object]) -> None:
    build, lines = Counted(), list[str]()
    damage(build_once(build))

    place = build_once(build, lines)

    assert build.times == 2
    assert (place / "bin" / "tool").read_text() == "content"
    assert any("damaged" in line for line in lines)


def test_files_with_new_times_and_the_same_content_are_sound() -> None:
    build = Counted()
    os.utime(build_once(build) / "bin" / "tool", (1, 1))

    build_once(build)

    assert build.times == 1


def test_a_build_that_fails_leaves_no_entry_and_the_next_one_starts_clean() -> None:
    def broken(into: Path) -> None:
        (into / "half").write_text("x")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        build_once(broken)
    place = build_once(Counted())

    assert sorted(path.name for path in place.iterdir()) == [".seal.json", "bin", "notes"]


def test_a_build_is_not_disturbed_by_programs_of_a_builder_that_was_killed(cache: Path) -> None:
    places: list[Path] = []

    def interrupted(into: Path) -> None:
        places.append(into)
        raise KeyboardInterrupt

    def undisturbed(into: Path) -> None:
        (into / "file").write_text("good")
        if places[0].exists():
            (places[0] / "file").write_text("late write")

    with pytest.raises(KeyboardInterrupt):
        build_once(interrupted)
    place = build_once(undisturbed)

    assert (place / "file").read_text() == "good"
    assert sorted(path.name for path in (cache / "kind").iterdir()) == ["key", "key.lock"]


def _append_and_build(counter: str) -> None:
    def build(into: Path) -> None:
        with Path(counter).open("a") as file:
            file.write("x")
        (into / "file").write_text("y")

    build_once(build)


def test_two_processes_that_want_the_same_entry_build_it_once(tmp_path: Path) -> None:
    counter = tmp_path / "count"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_append_and_build, args=(str(counter),)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)

    assert [worker.exitcode for worker in workers] == [0, 0]
    assert counter.read_text() == "x"


def test_the_key_changes_with_a_name_and_with_a_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    before = compute_key(tmp_path, "flag")
    (tmp_path / "a").rename(tmp_path / "b")
    renamed = compute_key(tmp_path, "flag")
    (tmp_path / "b").write_text("2")

    assert len({before, renamed, compute_key(tmp_path, "flag"), compute_key(tmp_path, "other")}) == 4


def test_the_cache_follows_the_xdg_directories(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PROVISION_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    assert cache_root() == tmp_path / "provision"
