"""Imports of `provision/` go down the layers of docs/architecture.md, and in no circle."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

ROOT = Path(__file__).parents[2]

Imports = dict[str, set[str]]  # module -> modules that it imports, both without the leading "provision."

# From top to bottom. A module may import what is below its layer or in its own area; areas of one layer are
# independent of each other. The longest matching prefix decides which area a module belongs to.
LAYERS = (
    ("__main__",),
    ("cli",),
    ("providers",),  # the Provider protocol and its dispatch
    ("providers.kubeadm", "providers.eks", "lab"),
    ("config",),
    ("ansible", "ssh", "report", "mirror"),
    ("engine",),
    ("kubeconfig",),
    ("errors",),
    ("model",),
    ("files", "paths", "redact", "versions"),
    ("",),  # the package itself: its version
)
# Downward imports that are forbidden all the same: results of a provider are data, the CLI renders them.
FORBIDDEN = {("providers", "report"), ("providers.kubeadm", "report"), ("providers.eks", "report")}

# Violations that are still to be fixed. The test fails when one is gone and still named here.
KNOWN: set[str] = set()

# Files that docs/architecture.md names and that are still to be written. The test fails when one is there.
NOT_YET: set[str] = set()


def read_imports(root: Path) -> Imports:
    """Imports between the modules of the package at `root`: in functions and under TYPE_CHECKING, too."""
    files = {_module_name(path, root): path for path in root.rglob("*.py")}
    return {
        module: {
            target
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            for target in _imported_modules(node, root.name, files)
            if target != module
        }
        for module, path in files.items()
    }


def _module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported_modules(node: ast.AST, package: str, modules: Iterable[str]) -> Iterator[str]:
    names: list[tuple[str, ...]] = []  # alternatives of one imported name, the module before its package
    if isinstance(node, ast.Import):
        names = [(alias.name,) for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"relative import of {node.module}: write the full name"
        names = [(f"{node.module}.{alias.name}", f"{node.module}") for alias in node.names]
    for alternatives in names:
        ours = [name.removeprefix(package).lstrip(".") for name in alternatives if _is_in(package, name)]
        yield from [name for name in ours if name in modules][:1]


def _is_in(package: str, name: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def area(module: str) -> str:
    """The area of the layer list that a module belongs to; KeyError for a module that no layer names."""
    if not module:
        return ""
    areas = [name for layer in LAYERS for name in layer if name and _is_in(name, module)]
    if not areas:
        raise KeyError(module)
    return max(areas, key=len)


def upward_imports(imports: Imports) -> dict[str, list[str]]:
    """Violations of the layers, as "AREA imports AREA", each with the imports that break it."""
    level = {name: number for number, layer in enumerate(LAYERS) for name in layer}
    found: dict[str, list[str]] = {}
    for module, targets in sorted(imports.items()):
        own = area(module)
        for target in sorted(targets):
            pair = own, area(target)
            if pair[0] != pair[1] and (level[pair[0]] >= level[pair[1]] or pair in FORBIDDEN):
                found.setdefault(f"{pair[0]} imports {pair[1]}", []).append(f"{module} imports {target}")
    return found


def circles(imports: Imports) -> dict[str, list[str]]:
    """Groups of modules that reach each other by imports, as "circle: MODULE, MODULE", with these imports."""
    reached = {module: _reachable(module, imports) for module in imports}
    groups = {
        frozenset(other for other in reached[module] if module in reached[other])
        for module in imports
        if module in reached[module]
    }
    return {
        f"circle: {', '.join(sorted(group))}": sorted(
            f"{module} imports {target}" for module in group for target in imports[module] & group
        )
        for group in groups
    }


def _reachable(module: str, imports: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = [module]
    while waiting:
        new = imports[waiting.pop()] - found
        found |= new
        waiting.extend(new)
    return found


def violations(root: Path) -> dict[str, list[str]]:
    imports = read_imports(root)
    return {**upward_imports(imports), **circles(imports)}


def tree(root: Path, files: Mapping[str, str]) -> Path:
    package = root / "provision"
    for name, text in files.items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return package


@pytest.fixture(scope="module")
def found() -> dict[str, list[str]]:
    return violations(ROOT / "provision")


def test_imports_go_down_the_layers_and_in_no_circle(found: dict[str, list[str]]) -> None:
    new = [f"{name} ({'; '.join(found[name])})" for name in sorted(found.keys() - KNOWN)]

    assert not new, "\n".join(new)


def test_every_known_violation_still_exists(found: dict[str, list[str]]) -> None:
    fixed = sorted(KNOWN - found.keys())

    assert not fixed, f"remove from KNOWN: {fixed}"


def test_every_file_that_the_page_on_architecture_names_exists() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = set(
        re.findall(
            r"\b(?:provision|playbooks|tests|molecule|docs)/[\w./-]*(?:\.py|\.yaml|\.yml|\.md|/)", page
        )
    )

    assert len(named) > 20
    assert {path for path in named if not (ROOT / path).exists()} == NOT_YET


def test_downward_imports_and_imports_within_an_area_are_allowed(tmp_path: Path) -> None:
    package = tree(
        tmp_path,
        {
            "__init__.py": "",
            "cli/cluster.py": "from provision import engine\nimport provision.providers.kubeadm.steps\n",
            "engine/__init__.py": "from provision.engine.run import run\nfrom provision.errors import Failure\n",
            "engine/run.py": "import json\nfrom provision import __version__\n",
            "providers/kubeadm/steps.py": "from provision.ssh.command import run\n",
            "ssh/command.py": "from provision.ssh import session\n",
            "ssh/session.py": "",
            "errors.py": "",
        },
    )

    assert violations(package) == {}
    assert read_imports(package)["cli.cluster"] == {"engine", "providers.kubeadm.steps"}


@pytest.mark.parametrize(
    ("module", "text", "violation"),
    [
        ("engine/run.py", "import provision.cli.main\n", "engine imports cli"),
        ("engine/run.py", "def f():\n    from provision.cli import main\n", "engine imports cli"),
        (
            "engine/run.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from provision.cli.main import App\n",
            "engine imports cli",
        ),
        (
            "providers/eks/plan.py",
            "from provision.providers.kubeadm import steps\n",
            "providers.eks imports providers.kubeadm",
        ),
        (
            "providers/kubeadm/plan.py",
            "from provision.report.console import show\n",
            "providers.kubeadm imports report",
        ),
        ("ssh/command.py", "from provision.ansible import runner\n", "ssh imports ansible"),
        (
            "providers/kubeadm/plan.py",
            "from provision.providers import find\n",
            "providers.kubeadm imports providers",
        ),
    ],
)
def test_an_import_against_the_layers_is_found(
    tmp_path: Path, module: str, text: str, violation: str
) -> None:
    files = {
        "cli/main.py": "",
        "providers/__init__.py": "",
        "providers/kubeadm/steps.py": "",
        "report/console.py": "",
        "ansible/runner.py": "",
    }

    assert violations(tree(tmp_path, {**files, module: text})).keys() == {violation}


def test_a_circle_is_found_whatever_its_length(tmp_path: Path) -> None:
    package = tree(
        tmp_path,
        {
            "ssh/a.py": "from provision.ssh.b import x\n",
            "ssh/b.py": "def f():\n    import provision.ssh.c\n",
            "ssh/c.py": "from provision.ssh import a, d\n",
            "ssh/d.py": "",
        },
    )

    assert violations(package) == {
        "circle: ssh.a, ssh.b, ssh.c": [
            "ssh.a imports ssh.b",
            "ssh.b imports ssh.c",
            "ssh.c imports ssh.a",
        ]
    }


def test_a_module_of_no_layer_is_refused(tmp_path: Path) -> None:
    package = tree(tmp_path, {"helpers/text.py": ""})

    with pytest.raises(KeyError, match=r"helpers\.text"):
        violations(package)
