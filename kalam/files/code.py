"""A digest of the code behind a script, so that a rule reruns when its meaning changes and only then."""

import ast
import hashlib
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from kalam.files.cache import recall, remember

PACKAGE = Path(__file__).resolve().parent.parent
ROOT = PACKAGE.parent

# Rooms and modules that only run, watch or report: no edit of them changes what comes out.
LEFT_OUT = ("kalam.machine", "kalam.files.claim", "kalam.files.logs", "kalam.training.plan", "kalam.training.board")
LOGGERS = {"logger", "log"}
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
READER = f"{sys.version_info[:2]} {hashlib.sha256(Path(__file__).read_bytes()).hexdigest()}"


def digest_code(script: str | Path, *modules: str) -> str:
    """The digest of a script, of every module of this package that it imports, and of `modules`.

    Imports are followed wherever they stand, but for those under `if TYPE_CHECKING:` and into what is
    LEFT_OUT. Comments, docstrings, layout and statements that only log do not count. `modules` names what a
    script imports by a name it is given.
    """
    total = hashlib.sha256()
    named = {file for name in modules for part in _with_parents(name) if (file := _file(part))}
    for path in (Path(script), *sorted(_reached(_imports(Path(script)) | named))):
        total.update(f"{path.name} {_meaning(path)}\n".encode())
    return total.hexdigest()[:16]


def _reached(files: Iterable[Path]) -> set[Path]:
    files, reached = set(files), set()
    while files:
        path = files.pop()
        reached.add(path)
        files |= _imports(path) - reached
    return reached


class Reading(NamedTuple):
    """What counts of a file: the digest of its statements, and every name that it imports."""

    meaning: str
    imported: list[str]


@cache
def _read(path: Path) -> Reading:
    source = path.read_bytes()
    key = f"{READER} {hashlib.sha256(source).hexdigest()}"
    if kept := recall("code", key):
        return Reading(*kept)
    tree = _tree(source, path)
    reading = Reading(hashlib.sha256(ast.dump(tree).encode()).hexdigest(), sorted(set(_imported(tree))))
    remember("code", key, reading)
    return reading


def _tree(source: bytes, path: Path) -> ast.Module:
    tree = ast.parse(source, str(path))
    for node in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            if isinstance(statements := getattr(node, field, None), list):
                kept = [
                    each for each in statements if not _is_docstring(node, each, statements) and not _only_logs(each)
                ]
                # An `else` that only logged is as if it had never been there; other bodies need a statement.
                setattr(node, field, kept or [ast.Pass()] * (field != "orelse" and bool(statements)))
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = [ast.Pass()]
    return tree


def _is_docstring(node: ast.AST, statement: ast.stmt, body: list[ast.stmt]) -> bool:
    holders = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    value = statement.value if isinstance(statement, ast.Expr) else None
    text = isinstance(value, ast.Constant) and isinstance(value.value, str)
    return text and isinstance(node, holders) and statement is body[0]


def _only_logs(statement: ast.stmt) -> bool:
    call = statement.value if isinstance(statement, ast.Expr) else None
    function = call.func if isinstance(call, ast.Call) else None
    return (
        isinstance(function, ast.Attribute)
        and function.attr in LEVELS
        and isinstance(function.value, ast.Name)
        and function.value.id in LOGGERS
    )


def _meaning(path: Path) -> str:
    return _read(path).meaning


@cache
def _imports(path: Path) -> frozenset[Path]:
    return frozenset(file for name in _read(path).imported if (file := _file(name)))


def _imported(tree: ast.Module) -> Iterator[str]:
    """Every name that is imported, with the packages around it, whose code runs as well."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name for alias in node.names for name in _with_parents(alias.name))
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from _with_parents(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _with_parents(module: str) -> Iterator[str]:
    return accumulate(module.split("."), "{}.{}".format)


@cache
def _file(module: str) -> Path | None:
    """The file of a module of this package; None for another package's, for one LEFT_OUT, for a name that is none."""
    if module.split(".")[0] != PACKAGE.name or any(f"{module}.".startswith(f"{name}.") for name in LEFT_OUT):
        return None
    path = ROOT.joinpath(*module.split("."))
    found = [file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()]
    return found[0] if found else None
