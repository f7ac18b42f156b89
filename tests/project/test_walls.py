"""What runs in a model's own environment needs the standard library and a folder of ours, nothing else."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cog.bundle import OLD_PLACES

SOURCE = Path(__file__).resolve().parents[2] / "src" / "cog"
# What a model's environment gets; the backend makes the same folder.
ROOMS = ("sdk", "signature", "worker")
OLD = tuple(f"{name}.py" for name in OLD_PLACES)
FILES = ("__init__.py", "version.py", "errors.py", *OLD)

LIST_MODULES = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print("\\n".join({name.partition(".")[0] for name in sys.modules}))
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package as a model's environment sees it."""
    folder = tmp_path_factory.mktemp("bundle")
    target = folder / "cog"
    target.mkdir()
    for name in FILES:
        shutil.copy(SOURCE / name, target)
    for room in ROOMS:
        shutil.copytree(SOURCE / room, target / room, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def loaded_by(*modules: str, path: Path) -> set[str]:
    """The top-level modules that an interpreter has loaded once it has imported `modules` from `path`."""
    program = f"import sys; sys.path.insert(0, {str(path)!r})\n{LIST_MODULES}"
    command = [sys.executable, "-I", "-S", "-W", "error", "-c", program, *modules]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


def modules_of(room: str) -> list[str]:
    names = (
        ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts)
        for path in (SOURCE / room).rglob("*.py")
    )
    # __main__ acts when it is imported; importing main shows the same.
    return sorted(name.removesuffix(".__init__") for name in names if not name.endswith("__main__"))


def foreign(modules: set[str]) -> set[str]:
    return {
        name for name in modules if name not in sys.stdlib_module_names and name not in ("cog", "__main__")
    }


def test_import_cog_takes_no_third_party_module() -> None:
    # With site-packages at hand, so that an optional import would succeed and be seen.
    program = f"import sys, cog\n{LIST_MODULES}"
    before = subprocess.run(
        [sys.executable, "-c", LIST_MODULES], capture_output=True, text=True, timeout=60, check=True
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
    assert foreign(set(result.stdout.split()) - set(before.stdout.split())) == set()


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_of_the_models_environment_stands_alone(room: str, bundle: Path) -> None:
    modules = modules_of(room)
    assert len(modules) > 1
    assert foreign(loaded_by("cog", *modules, path=bundle)) == set()


class Imports(ast.NodeVisitor):
    """The modules that a file names in imports, also inside of functions, where only some runs get to."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def visit_If(self, node: ast.If) -> None:
        """Leave out what only a type checker reads."""
        for child in node.orelse if ast.unparse(node.test) == "TYPE_CHECKING" else ast.iter_child_nodes(node):
            self.visit(child)

    def visit_Import(self, node: ast.Import) -> None:
        """Note the modules of `import a, b`."""
        self.names.update(alias.name for alias in node.names)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Note the module of `from a import b`."""
        assert node.level == 0, "write the import in full"
        self.names.add(node.module or "")


def imports_of(path: Path) -> set[str]:
    visitor = Imports()
    visitor.visit(ast.parse(path.read_text(encoding="utf-8")))
    return visitor.names


def test_no_import_anywhere_leads_out_of_the_bundle() -> None:
    files = [
        *(SOURCE / name for name in ("errors.py", *OLD)),
        *(path for room in ROOMS for path in (SOURCE / room).rglob("*.py")),
    ]
    ours = tuple(f"cog.{name}" for name in (*ROOMS, "errors", "version"))
    leaving = {
        (str(path.relative_to(SOURCE)), name)
        for path in files
        for name in imports_of(path)
        if name.partition(".")[0] not in sys.stdlib_module_names
        and name != "cog"
        and not any(name == each or name.startswith(f"{each}.") for each in ours)
    }
    assert leaving == set()
