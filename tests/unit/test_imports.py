"""A DAG of many small jobs cannot afford what a job does not use."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = (
    "torch",
    "transformers",
    "peft",
    "bitsandbytes",
    "accelerate",
    "datasets",
    "trafilatura",
    "matplotlib",
    "pandas",
    "pyarrow",
)


def test_scripts_start_without_the_heavy_libraries():
    """They are imported where they are used, so a handed-out training or an error costs no second."""
    scripts = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "scripts").glob("*.py")}
    imports = {
        name: ast.unparse([node for node in ast.parse(text).body if isinstance(node, ast.Import | ast.ImportFrom)])
        for name, text in scripts.items()
    }
    code = (
        f"import sys\nfor script, imports in {imports!r}.items():\n"
        f"    exec(imports, {{}})\n    print(script, *sorted(sys.modules.keys() & {set(HEAVY)!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [*scripts]


FLOORS = [
    {"files"},
    {"text"},
    {"machine", "configuration"},
    {"web", "data"},
    {"corpus"},
    {"models"},
    {"training", "evaluation"},
    {"export"},
    {"tasks"},
]


def climbing(path: Path, root: Path) -> list[str]:
    """What a module of the package under `root` imports that does not lie below it: a room on its own floor or above,
    a room that no floor lists, Snakemake, or the package by other words than `from kalam.room.module import ...`."""
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    room = path.relative_to(root / "kalam").parts[0]
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            relative = ["relative"] if node.level else []
            bare = node.module == "kalam"
            names = relative or ([f"kalam.{alias.name}" for alias in node.names] if bare else [node.module])
        else:
            continue
        for name in names:
            package, _, rest = name.partition(".")
            other = rest.partition(".")[0]
            outside = package in ("snakemake", "relative", "scripts", "tests", "benchmarks")
            inside = package == "kalam" and other != room
            if outside or (inside and floor.get(other, len(FLOORS)) >= floor.get(room, -1)):
                found.append(name)
    return found


@pytest.mark.parametrize("path", sorted((ROOT / "kalam").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_inside_the_package_go_downwards_only(path):
    assert climbing(path, ROOT) == []


@pytest.mark.parametrize(
    "line",
    [
        "from snakemake import io",
        "import snakemake.io",
        "import kalam.training.loop",
        "from kalam import tasks",
        "from kalam.attic.boxes import Box",
        "from kalam.evaluation.bits import Rows",
        "from ..tasks import causal",
    ],
)
def test_every_way_up_is_caught(line, tmp_path):
    module = tmp_path / "kalam/models/there.py"
    module.parent.mkdir(parents=True)
    module.write_text(f"def inside():\n    {line}\n    import json\n    from kalam.text.tokens import BOS\n")
    assert len(climbing(module, tmp_path)) == 1


def test_every_room_stands_on_a_floor_and_every_module_has_a_name_of_its_own():
    paths = [path for path in (ROOT / "kalam").rglob("*.py") if path.name != "__init__.py"]
    assert {path.parent.name for path in paths} == set().union(*FLOORS)
    names = [path.name for path in paths if path.parent.name != "tasks"]  # of which the task's name is given
    assert sorted(names) == sorted(set(names))
