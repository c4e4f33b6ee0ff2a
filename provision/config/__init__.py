"""File to model: knows YAML, knows no host.

`load(path)` gives a `Cluster`, or raises one error with every problem of the file.
"""

from __future__ import annotations

from provision.config.load import Loaded, load, load_text
from provision.config.schema import schema

__all__ = ["Loaded", "load", "load_text", "schema"]
