from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import pydantic

import provision


def models() -> Iterator[type[pydantic.BaseModel]]:
    for module in pkgutil.walk_packages(provision.__path__, "provision."):
        for _, value in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(value, pydantic.BaseModel) and value.__module__ == module.name:
                yield value


def test_every_pydantic_model_finds_its_annotations_at_run_time() -> None:
    found = list(models())

    assert len(found) > 30
    assert [
        model.__qualname__ for model in found if not model.model_rebuild() and not model.__pydantic_complete__
    ] == []
