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
)


@pytest.mark.parametrize("script", sorted(path.name for path in (ROOT / "scripts").glob("*.py")))
def test_a_script_starts_without_the_heavy_libraries(script):
    """They are imported where they are used, so a handed-out training or an error costs no second."""
    tree = ast.parse((ROOT / "scripts" / script).read_text(encoding="utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    code = ast.unparse(ast.Module(imports, [])) + f"\nimport sys; print(*(sys.modules.keys() & {set(HEAVY)!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_package_never_imports_snakemake():
    for path in (ROOT / "kalam").rglob("*.py"):
        assert "import snakemake" not in path.read_text(encoding="utf-8"), path


def test_imports_inside_the_package_go_downwards_only():
    floors = [
        {"files"},
        {"text", "configuration"},
        {"corpus", "models"},
        {"training", "evaluation"},
        {"tasks", "export"},
    ]
    floor = {package: number for number, packages in enumerate(floors) for package in packages}
    for path in (ROOT / "kalam").rglob("*.py"):
        package = path.relative_to(ROOT / "kalam").parts[0]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = node.module if isinstance(node, ast.ImportFrom) else None
            if name and name.startswith("kalam.") and package in floor:
                other = name.split(".")[1]
                assert other == package or floor[other] < floor[package], f"{path.name} imports {name}"
