"""Whether the tests notice small defects, and whether those of another commit did: each of defects.yaml, one at a time.

python -m benchmarks.defects 0052c73 > benchmarks/defects.tsv

A row for each defect: the first test that fails here with it, and one that fails in that commit: the same, where it
does. Only the tests that the defect names are run, in a copy of the tree, none that is slow.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from forking import serve_forks, start_python

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = ("defect", "file", "found before by", "found now by")
NOTHING = "nothing"


def copy_of(revision: str, folder: Path) -> Path:
    """The files of a commit, or those of the working tree where there is no name."""
    changed = subprocess.run(["git", "stash", "create"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    tree = revision or changed.strip() or "HEAD"
    archive = subprocess.run(["git", "archive", tree], cwd=ROOT, check=True, capture_output=True).stdout
    folder.mkdir()
    subprocess.run(["tar", "-x"], cwd=folder, input=archive, check=True)
    return folder


def first_failure(tree: Path, defect: dict[str, Any], tests: list[str]) -> str:
    """The first of the tests to fail in a tree with a defect; raises SystemExit where the defect cannot be made."""
    file = tree / defect["file"]
    text = file.read_text(encoding="utf-8")
    if text.count(defect["old"]) != 1:
        raise SystemExit(f"{file}: has {text.count(defect['old'])} times: {defect['old']}")
    file.write_text(text.replace(defect["old"], defect["new"]), encoding="utf-8")
    try:
        return run(tree, [test for test in tests if (tree / test.split("::")[0]).exists()])
    finally:
        file.write_text(text, encoding="utf-8")


def run(tree: Path, tests: list[str]) -> str:
    options = ["-x", "-q", "-p", "no:cacheprovider", "-m", "not slow"]
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    with open(tree / "said", "w+", encoding="utf-8") as output:
        start_python([*options, *tests], tree, environment, output, "pytest").wait()
        output.seek(0)
        said = output.read()
    failed = re.search(r"^(?:FAILED|ERROR) (\S+::\S+?)(?:\[| |$)", said, re.MULTILINE)
    return failed[1] if failed else NOTHING


def main(revision: str) -> None:
    end = serve_forks()
    defects = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        there, here = copy_of(revision, Path(folder, "before")), copy_of("", Path(folder, "now"))
        print(*COLUMNS, sep="\t", flush=True)
        for defect in defects:
            now = first_failure(here, defect | defect.get("here", {}), defect["tests"])
            then = first_failure(there, defect, [now]) if now != NOTHING else NOTHING
            if then == NOTHING:
                then = first_failure(there, defect, defect["tests"])
            print(defect["defect"], defect["file"], then, now, sep="\t", flush=True)
    end()


if __name__ == "__main__":
    main(sys.argv[1])
