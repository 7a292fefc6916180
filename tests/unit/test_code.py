"""The digest of the code behind a script: what it follows, what changes it and what does not."""

import importlib.util
import re
import shutil
import subprocess
import sys
from itertools import count
from modulefinder import ModuleFinder
from pathlib import Path

import pytest

from kalam.files import code

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted((ROOT / "scripts").glob("*.py"))
NAMES = count()

PACKAGE = {
    "kalam/__init__.py": '"""The package."""\n',
    "kalam/inner/__init__.py": '"""A package inside."""\n',
    "kalam/inner/far.py": "LIMIT = 3\n",
    "kalam/inner/lazy.py": "NAME = 'lazy'\n",
    "kalam/inner/near.py": '''"""Near."""

import logging
from typing import TYPE_CHECKING

from kalam.inner import far
from kalam.machine.watch import watched

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from kalam.hints import Hint


class Thing:
    """A thing."""

    size = 1


def use(x: "Hint") -> int:
    """What it does."""
    from kalam.inner.lazy import NAME

    logger.info("used %d", x)
    with watched():
        if x > 9:
            logger.warning("large")
        return far.LIMIT + len(NAME)
''',
    "kalam/machine/__init__.py": "",
    "kalam/machine/watch.py": "from kalam.only_watched import watched\n",
    "kalam/only_watched.py": "def watched(): ...\n",
    "kalam/files/logs.py": "def log_to(path): ...\n",
    "kalam/hints.py": "class Hint: ...\n",
    "kalam/named.py": "import kalam.inner.far\n",
    "kalam/unrelated.py": "NUMBER = 1\n",
    "scripts/do.py": """import os

from kalam.files.logs import log_to
from kalam.inner.near import use

log_to("log")
print(use(os.sep))
""",
}


@pytest.fixture
def digest(tmp_path):
    """The digest of scripts/do.py in a package of one's own, with some of its files edited."""

    def of(edits: dict[str, tuple[str, str]] | None = None, *modules: str) -> str:
        root = tmp_path / f"copy{next(NAMES)}"
        for name, text in PACKAGE.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        for name, (old, new) in (edits or {}).items():
            assert old in PACKAGE.get(name, "")
            (root / name).write_text(PACKAGE.get(name, "").replace(old, new, 1))
        (root / "kalam" / "files").mkdir(exist_ok=True)
        shutil.copy(code.__file__, root / "kalam" / "files" / "code.py")
        return load(root).digest_code(root / "scripts" / "do.py", *modules)

    return of


def load(root: Path):
    """The module `kalam.files.code` of another root."""
    spec = importlib.util.spec_from_file_location(f"code{next(NAMES)}", root / "kalam" / "files" / "code.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


KEEPING = {
    "comment": ("kalam/inner/far.py", "LIMIT = 3", "LIMIT = 3  # of them"),
    "layout": ("kalam/inner/far.py", "LIMIT = 3", "\n\nLIMIT = (\n    3\n)"),
    "module docstring": ("kalam/inner/near.py", '"""Near."""', '"""Far from it."""'),
    "module docstring gone": ("kalam/inner/near.py", '"""Near."""\n', ""),
    "new docstring": ("kalam/inner/far.py", "LIMIT", '"""Far."""\nLIMIT'),
    "class docstring": ("kalam/inner/near.py", '"""A thing."""', '"""Another thing."""'),
    "function docstring": ("kalam/inner/near.py", '    """What it does."""\n', ""),
    "import for types": ("kalam/inner/near.py", "from kalam.hints import Hint", "from kalam.hints import Hint as Hint"),
    "what is imported for types": ("kalam/hints.py", "class Hint: ...", "class Hint: size = 9"),
    "unrelated module": ("kalam/unrelated.py", "NUMBER = 1", "NUMBER = 2"),
    "log line": ("kalam/inner/near.py", '"used %d", x', '"%d was used", x'),
    "log line gone": ("kalam/inner/near.py", '    logger.info("used %d", x)\n', ""),
    "log line alone in its block": ("kalam/inner/near.py", 'logger.warning("large")', "pass"),
    "another branch that logs": (
        "kalam/inner/near.py",
        'logger.warning("large")\n',
        'logger.error("large")\n        else:\n            logger.debug("small")\n',
    ),
    "module that watches": ("kalam/machine/watch.py", "from", "LIMIT = 4\nfrom"),
    "package of what watches": ("kalam/machine/__init__.py", "", "LIMIT = 4\n"),
    "what only such a module imports": ("kalam/only_watched.py", "...", "return 3"),
    "module of logs": ("kalam/files/logs.py", "...", "return 3"),
    "comment in the script": ("scripts/do.py", "import os\n", "# do\nimport os\n"),
}
CHANGING = {
    "constant two imports away": ("kalam/inner/far.py", "LIMIT = 3", "LIMIT = 4"),
    "module imported in a function": ("kalam/inner/lazy.py", "'lazy'", "'hazy'"),
    "package around a module": ("kalam/inner/__init__.py", '"""A package inside."""', "import os"),
    "outermost package": ("kalam/__init__.py", '"""The package."""', "import os"),
    "text that is no docstring": ("kalam/inner/lazy.py", "NAME = 'lazy'", "NAME = 'lazy '"),
    "class attribute": ("kalam/inner/near.py", "size = 1", "size = 2"),
    "condition of a log line": ("kalam/inner/near.py", "x > 9", "x > 8"),
    "statement that looks like a log line": ("kalam/inner/near.py", 'logger.warning("large")', "logger.append(x)"),
    "level of the logger": ("kalam/inner/near.py", "getLogger(__name__)", "getLogger('near')"),
    "import of what watches": ("kalam/inner/near.py", "import watched", "import watch as watched"),
    "script": ("scripts/do.py", "print(", "repr("),
}


@pytest.mark.parametrize("edit", KEEPING.values(), ids=KEEPING)
def test_what_means_the_same_keeps_the_digest(digest, edit):
    name, *change = edit
    assert digest({name: change}) == digest()


@pytest.mark.parametrize("edit", CHANGING.values(), ids=CHANGING)
def test_what_means_something_else_changes_the_digest(digest, edit):
    name, *change = edit
    assert digest({name: change}) != digest()


def test_a_module_that_is_named_counts_with_what_it_imports(digest):
    assert digest(None, "kalam.named") != digest()
    assert digest({"kalam/named.py": ("far", "lazy")}) == digest()
    assert digest({"kalam/named.py": ("far", "lazy")}, "kalam.named") != digest(None, "kalam.named")
    assert digest({"kalam/unrelated.py": ("1", "2")}, "kalam.unrelated") != digest(None, "kalam.unrelated")


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    """A copy of the package and its scripts."""
    root = tmp_path_factory.mktemp("package")
    for folder in ("kalam", "scripts"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return root


REAL = {
    "plan": ("kalam/training/plan.py", "LAYER_BYTES = 68", "LAYER_BYTES = 70", True),
    "a flag of srun": ("kalam/machine/nodes.py", '"--wait=0"', '"--wait=9"', True),
    "a log line of the loop": (
        "kalam/training/loop.py",
        '"%d steps, %.0f tokens/s"',
        '"%d steps at %.0f tokens/s"',
        True,
    ),
    "a branch of the loop": ("kalam/training/loop.py", "better = loss < ", "better = loss <= ", False),
    "a constant of the loop": ("kalam/training/loop.py", "VALIDATION = 0, 1", "VALIDATION = 0, 2", False),
    "the sum of the gradients": ("kalam/training/processes.py", "dtype=torch.float64", "dtype=torch.float32", False),
}


@pytest.mark.parametrize("edit", REAL.values(), ids=REAL)
def test_what_only_runs_watches_or_reports_ends_no_training(package, edit):
    name, old, new, same = edit
    file, script = package / name, package / "scripts/train_run.py"
    text = file.read_text(encoding="utf-8")
    assert old in text
    before = load(package).digest_code(script, "kalam.tasks.causal")
    try:
        file.write_text(text.replace(old, new), encoding="utf-8")
        assert (load(package).digest_code(script, "kalam.tasks.causal") == before) == same
    finally:
        file.write_text(text, encoding="utf-8")


def reached(script: Path, root: Path = ROOT) -> set[str]:
    """The modules that a script's digest covers, by name."""
    module = code if root == ROOT else load(root)
    files = module._reached(module._imports(script))
    return {".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__") for path in files}


IMPORTED = """
import ast, sys
from pathlib import Path
from types import ModuleType
left_out, *scripts = sys.argv[1:]
for script in scripts:
    for name in [name for name in sys.modules if name.split(".")[0] == "kalam"]:
        del sys.modules[name]
    for name in left_out.split():
        sys.modules[name] = empty = ModuleType(name)
        empty.__path__, empty.__getattr__ = [], lambda name: None
    tree = ast.parse(Path(script).read_text())
    tree.body = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    exec(compile(tree, script, "exec"), {})
    print(*[name for name in sys.modules if name.split(".")[0] == "kalam" and name not in left_out.split()])
"""


def left_out() -> set[str]:
    """Every module that no digest covers."""
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in (ROOT / "kalam").rglob("*.py")}
    return {n.removesuffix(".__init__") for n in names if any(f"{n}.".startswith(f"{o}.") for o in code.LEFT_OUT)}


def test_what_is_left_out_is_there():
    """A renamed module would be followed again, or worse."""
    assert set(code.LEFT_OUT) <= left_out()


def test_it_covers_every_module_that_a_script_s_imports_load():
    command = [sys.executable, "-c", IMPORTED, " ".join(left_out()), *map(str, SCRIPTS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = [set(line.split()) for line in done.stdout.splitlines()]
    assert len(loaded) == len(SCRIPTS) > 10
    for script, names in zip(SCRIPTS, loaded, strict=True):
        assert names
        assert names <= reached(script), script.name


@pytest.fixture(scope="module")
def untyped(tmp_path_factory) -> Path:
    """Scripts and package, with what stands under TYPE_CHECKING made dead code."""
    root = tmp_path_factory.mktemp("untyped")
    for folder in ("kalam", "scripts"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for path in root.rglob("*.py"):
        path.write_text(path.read_text().replace("if TYPE_CHECKING:", "if False:"))
    return root


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_it_follows_exactly_the_imports_in_the_bytecode(untyped, script):
    finder = ModuleFinder(path=[str(untyped)], excludes=sorted(left_out()))
    finder.run_script(str(untyped / "scripts" / script.name))
    found = {name for name in finder.modules if name.split(".")[0] == "kalam"}
    assert reached(script) == found


RULE = re.compile(r"^rule .*?(?=^\S|\Z)", re.MULTILINE | re.DOTALL)
CODE = re.compile(r'\bcode=(code|code_of_task)\("([\w.]+)"(?:, "([\w.]+)")?\)')
RULES = [rule for path in (ROOT / "rules").glob("*.smk") for rule in RULE.findall(path.read_text())]


def test_what_is_imported_by_a_computed_name_is_named_in_the_rules():
    modules = {path: path.read_text() for path in (ROOT / "kalam").rglob("*.py")}
    computed = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path, text in modules.items()
        if "import_module(" in text
    }
    scripts = {script.name for script in SCRIPTS if computed & reached(script)}
    assert {"train_run.py", "pretrain.py", "score_run.py", "evaluate_run.py", "page_run.py"} <= scripts
    assert not any("__import__(" in text for text in modules.values())
    digested = [found for rule in RULES for found in CODE.findall(rule)]
    assert {script for _, script, _ in digested} == {script.name for script in SCRIPTS}
    for function, script, argument in digested:
        assert function == "code_of_task" or argument or script not in scripts, script
        task = "kalam.training.task" in reached(ROOT / "scripts" / script)
        assert (function == "code_of_task") == task, script


def test_the_module_that_a_rule_gives_its_script_is_the_one_that_is_digested():
    given = []
    for rule in RULES:
        for function, script, argument in CODE.findall(rule):
            named = re.findall(r'\bmodule="([\w.]+)"', rule)
            asked = "params.module" in (ROOT / "scripts" / script).read_text()
            assert named == [argument] * asked, rule
            assert function == "code_of_task" or not argument or code._file(argument), argument
            given += named
    assert len(set(given)) >= 6  # scores, pages and evaluations of two tasks


def test_no_import_is_relative():
    for path in (*SCRIPTS, *(ROOT / "kalam").rglob("*.py")):
        assert not re.search(r"^\s*from \.", path.read_text(), re.MULTILINE), path  # none is followed
