"""The rules that make it safe that the repository root is the package, and who may import whom.

docs/architecture.md says what goes wrong without each rule. Imports are read as text, so that one
inside a function or under TYPE_CHECKING counts like any other.
"""

from __future__ import annotations

import ast
import os
import pkgutil
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import tacit
import tacit.server

ROOT = Path(__file__).parents[1]
CHECKOUT = (ROOT / "__init__.py").exists()
MAY_IMPORT: dict[str, set[str]] = {
    "wire": set(),
    "models": set(),
    "privacy": {"wire"},
    "strategies": {"wire", "privacy"},
    "fairness": {"wire", "privacy"},
    "client": {"wire", "privacy", "strategies", "fairness"},
    "server": {"wire", "privacy", "strategies", "fairness"},
    "simulations": {"wire", "models", "privacy", "strategies", "fairness", "client", "server"},
    "deployment": {
        "wire",
        "models",
        "privacy",
        "strategies",
        "fairness",
        "client",
        "server",
        "simulations",
    },
    "flower": {
        "wire",
        "models",
        "privacy",
        "strategies",
        "fairness",
        "client",
        "server",
        "simulations",
        "deployment",
    },
    "reports": {"wire", "privacy", "strategies", "fairness", "server", "simulations"},
    "cli": {
        "wire",
        "models",
        "privacy",
        "strategies",
        "fairness",
        "client",
        "server",
        "simulations",
        "deployment",
        "flower",
        "reports",
    },
}
COORDINATORS = ["tacit.cli.serving", "tacit.cli.watching", "tacit.deployment.operator"]
"""What a coordinator's or an operator's process imports."""
SERVER_MODULES = ["tacit.server", *COORDINATORS] + [
    module.name for module in pkgutil.walk_packages(tacit.server.__path__, "tacit.server.")
]

in_checkout = pytest.mark.skipif(
    not CHECKOUT, reason="about the checkout; this is the installed package"
)


class Import(NamedTuple):
    """`from`, `level` dots and `module`, then `import names`; `import module` has no names."""

    where: str
    level: int
    module: str
    names: tuple[str, ...]


@cache
def imports(path: Path) -> tuple[Import, ...]:
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[Import]:
    for node in ast.walk(ast.parse(path.read_text())):
        where = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
        match node:
            case ast.Import(names=names):
                for alias in names:
                    yield Import(where, 0, alias.name, ())
            case ast.ImportFrom(module=module, names=names, level=level):
                yield Import(where, level, module or "", tuple(alias.name for alias in names))
            case ast.Call(
                func=ast.Name(id=called) | ast.Attribute(attr=called),
                args=[ast.Constant(value=str(name)), *_],
            ) if called in ("import_module", "__import__"):
                module = name.lstrip(".")
                yield Import(where, len(name) - len(module), module, ())


def modules(home: str) -> list[Path]:
    return sorted((ROOT / home).rglob("*.py"))


def package_modules() -> Iterator[tuple[str, Path]]:
    """Every module of every sub-package, with the name of that sub-package."""
    for home in MAY_IMPORT:
        for path in modules(home):
            yield home, path


def targets(home: str, found: Import) -> list[tuple[str, ...]]:
    """The modules, as paths from the root, that a relative import in sub-package `home` names."""
    assert found.level <= 2, f"{found.where}: no import reaches above the package"
    inside = (home,) if found.level == 1 else ()
    if found.module:
        return [(*inside, *found.module.split("."))]
    return [(*inside, name) for name in found.names]


def settings() -> dict[str, Any]:
    tool: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    return tool


# Rule 1: the root holds two Python files, and __init__.py imports nothing.


@in_checkout
def test_the_root_holds_two_python_files() -> None:
    assert {path.name for path in ROOT.glob("*.py")} == {"__init__.py", "__main__.py"}


@in_checkout
def test_the_root_init_is_a_docstring_and_a_version() -> None:
    docstring, version = ast.parse((ROOT / "__init__.py").read_text()).body
    assert isinstance(docstring, ast.Expr)
    assert isinstance(version, ast.Assign)
    assert ast.unparse(version.targets[0]) == "__version__"


# Rule 2: imports are relative inside the package and absolute outside it.


@in_checkout
def test_imports_inside_the_package_are_relative() -> None:
    for path in [*ROOT.glob("*.py"), *(path for _, path in package_modules())]:
        for found in imports(path):
            top = found.module.split(".")[0]
            wrong = not found.level and top in {"tacit", *MAY_IMPORT}
            assert not wrong, f"{found.where}: import {found.module} relatively"


@in_checkout
def test_imports_outside_the_package_are_absolute() -> None:
    for home in ("tests", "examples", "benchmarks"):
        for path in modules(home):
            for found in imports(path):
                assert not found.level, f"{found.where}: outside the package, import absolutely"
                top = found.module.split(".")[0]
                assert top not in MAY_IMPORT, f"{found.where}: say tacit.{found.module}"


@in_checkout
def test_a_relative_import_names_a_file() -> None:
    for home, path in package_modules():
        for found in imports(path):
            if not found.level:
                continue
            for target in targets(home, found):
                file = ROOT.joinpath(*target)
                there = file.with_suffix(".py").exists() or (file / "__init__.py").exists()
                named = there or target == ("__version__",)
                assert named, f"{found.where}: there is no module {'.'.join(target)}"


# Rule 3: sub-packages are one level deep and listed.


@in_checkout
def test_sub_packages_are_one_level_deep_and_listed() -> None:
    roots = {init.parent.name for init in ROOT.glob("*/__init__.py")}
    assert roots == set(MAY_IMPORT), "list a new sub-package in MAY_IMPORT"
    deep = {str(path.relative_to(ROOT).parent) for _, path in package_modules()}
    assert deep == roots, "a sub-package holds modules, not folders of modules"
    listed = settings()["setuptools"]["packages"]
    assert {"tacit"} | {f"tacit.{name}" for name in roots} == set(listed)


# Rule 4: type checkers see the checkout through the links that `make types` makes.


@in_checkout
@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
def test_make_types_links_the_package_and_nothing_else() -> None:
    subprocess.run(["make", "--directory", str(ROOT), "types"], check=True, capture_output=True)
    links = {link.name: link.resolve() for link in (ROOT / ".types" / "tacit").iterdir()}
    expected = {"__init__.py", "__main__.py", "py.typed", *MAY_IMPORT}
    assert links == {name: ROOT.resolve() / name for name in expected}


@in_checkout
def test_the_links_are_found_by_mypy_and_passed_over_by_ruff_and_git() -> None:
    assert "$MYPY_CONFIG_FILE_DIR/.types" in settings()["mypy"]["mypy_path"].split(":")
    assert ".types" in settings()["ruff"]["extend-exclude"]
    assert ".types/" in (ROOT / ".gitignore").read_text().splitlines()


# Rule 5: CI also tests the installed wheel from another directory.


@in_checkout
def test_ci_builds_the_wheel_and_tests_it_from_another_directory() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    steps = [
        "make check",
        "make test",
        "-m build --wheel",
        'pip" install --quiet "${wheels[0]}[dev]"',
        'cd "$scratch/elsewhere"',
        '"$scratch/venv/bin/pytest"',
    ]
    places = [script.read_text().find(f"{step}") for step in steps]
    assert -1 not in places, f"missing: {steps[places.index(-1)]}"
    assert places == sorted(places)


def test_the_package_under_test_is_the_one_that_was_meant() -> None:
    """The checkout's own package in the checkout, and the installed one anywhere else."""
    package = Path(next(iter(tacit.__path__))).resolve()
    assert package == ROOT.resolve() if CHECKOUT else package.parent.name == "site-packages"


def test_the_package_under_test_has_every_sub_package() -> None:
    found = {module.name for module in pkgutil.iter_modules(tacit.__path__) if module.ispkg}
    assert found == set(MAY_IMPORT)


# Dependencies point one way, and the server never needs torch.


def test_the_direction_of_dependencies_has_no_cycle() -> None:
    order = list(TopologicalSorter(MAY_IMPORT).static_order())
    assert set(order) == set(MAY_IMPORT)


@in_checkout
def test_dependencies_point_downwards() -> None:
    for home, path in package_modules():
        for found in imports(path):
            if found.level < 2:
                continue
            for target in targets(home, found):
                allowed = MAY_IMPORT[home] | {"__version__"}
                assert target[0] in allowed, f"{found.where}: {home} may not import {target[0]}"


@in_checkout
def test_flower_is_imported_in_its_own_folder_and_nowhere_else() -> None:
    for home, path in package_modules():
        for found in imports(path):
            outside = home != "flower" and not found.level
            top = found.module.split(".")[0]
            assert not (outside and top in {"flwr", "ray"}), f"{found.where}: that is of flower/"


@in_checkout
def test_the_main_module_imports_the_command_line_and_nothing_else() -> None:
    found = imports(ROOT / "__main__.py")
    assert [(one.level, one.module.split(".")[0]) for one in found] == [(1, "cli")]


@in_checkout
def test_no_module_of_the_server_mentions_torch() -> None:
    for path in modules("server"):
        for found in imports(path):
            assert found.module.split(".")[0] != "torch", f"{found.where}: the server has no torch"


def test_the_server_runs_without_torch(tmp_path: Path) -> None:
    """Nor does anything that it imports bring torch in: one process imports all, one by one."""
    code = (
        "import sys; from importlib import import_module\n"
        "for name in sys.argv[1:]:\n"
        "    import_module(name)\n"
        "    if 'torch' in sys.modules: sys.exit(f'importing {name} imports torch')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *SERVER_MODULES],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
