"""The rules of ARCHITECTURE.md that a machine can check: who may import whom, sizes, where versions are named."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "pystap"

# A module may import those of its own layer and of layers before it.
LAYERS = (
    {"__init__", "source", "frozen", "diagnostics", "options", "paths", "kept", "scratch", "tunables"},
    {"ir", "arch"},
    {"debuginfo"},
    {"syntax", "library", "target", "grammar", "scripts", "timings"},
    {"providers"},
    {"elaborate"},
    {"lower"},
    {"codegen"},
    {"build"},
    {"run"},
    {"listing", "doctor", "resolve", "explain", "docs", "script_cache", "driver"},
    {"cli"},
    {"__main__"},
)
# Contracts that everybody may look at for annotations only are exempt: `if TYPE_CHECKING:` blocks are not followed.


def layer_of(module: str) -> int:
    for number, names in enumerate(LAYERS):
        if module in names:
            return number
    raise AssertionError(f"pystap/{module} stands in no layer of tests/test_architecture.py")


def sources() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if "share" not in p.parts)


def runtime_imports(tree: ast.AST) -> list[str]:
    """Names of pystap modules that a file imports when it runs (not for annotations only)."""
    names: list[str] = []
    stack: list[ast.AST] = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            stack.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            names += [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [f"{node.module}.{a.name}" for a in node.names]
        stack.extend(ast.iter_child_nodes(node))
    return [n for n in names if n.startswith("pystap.")]


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    top = {p.name.removesuffix(".py") for p in PACKAGE.iterdir()}
    for name in runtime_imports(ast.parse(path.read_text())):
        other = name.split(".")[1]
        if other in top and other != own:
            assert layer_of(other) <= layer_of(own), f"{path.name} imports {name}, which is of a later layer"


def test_kernel_versions_are_named_in_one_place() -> None:
    allowed = {PACKAGE / "runtime" / "compat.h"}
    for path in [*PACKAGE.rglob("*.h"), *PACKAGE.rglob("*.j2"), *(ROOT / "tapsets").rglob("*.stp")]:
        if path not in allowed:
            assert not re.search(r"\bLINUX_VERSION_CODE\b", path.read_text()), path


def test_every_module_says_what_it_is() -> None:
    for path in sources():
        text = path.read_text()
        if text.strip():
            assert ast.get_docstring(ast.parse(text)), f"{path} has no docstring"


def test_engines_have_a_provider_or_are_shared() -> None:
    """The same stem everywhere: an engine's template and its header go together."""
    headers = {p.stem for p in (PACKAGE / "runtime" / "engines").glob("*.h")}
    templates = {p.name.removesuffix(".c.j2") for p in (PACKAGE / "codegen" / "templates" / "engines").glob("*.c.j2")}
    assert templates <= headers, templates - headers
