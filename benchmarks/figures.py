"""The figures in the README and the docs, written from results.

python -m benchmarks.figures             fill in what the committed results say
python -m benchmarks.figures --results   first take the embedded default's tables from a finished results/

In the Markdown a figure stands between a comment that says where it is from and one that ends it,

    <!-- value benchmarks/seeds.json "seeds/20/bits_per_byte/adapt: base xglm/verse" .3f -->1.538<!-- end -->
    <!-- value benchmarks/bangla_metrics.tsv "role=base part=verse metric=bits_per_byte value" .4f -->1.538<!-- end -->

by the keys of a JSON file, or the row and the column of a table; a block between fences follows one that names a text,
the beginning of its first line there and that of the line after its last:

    <!-- block benchmarks/bangla_ppl.txt "Register verse" "Loss curves" -->
"""

import re
import shutil
import sys
from pathlib import Path
from typing import Any

from kalam.files.errors import InputError
from kalam.files.jsonl import read_json
from kalam.files.tables import read_tsv

ROOT = Path(__file__).parents[1]
KEPT = {
    f"results/{project}/{name}": f"benchmarks/{project}_{name}"
    for project in ("bangla", "tamil")
    for name in ("ppl.txt", "metrics.tsv")
}
VALUE = re.compile(r'(<!-- value (\S+) "([^"]+)"(?: (\S+))? -->)[^<]*(<!-- end -->)')
BLOCK = re.compile(r'(<!-- block (\S+) "([^"]+)" "([^"]+)" -->\n+```\n).*?(```\n)', re.DOTALL)


def filled(text: str, root: Path = ROOT) -> str:
    """A text with every figure as its file below `root` has it. Raises InputError naming what is not to be found."""

    def value(match: re.Match) -> str:
        begin, file, where, form, end = match.groups()
        return f"{begin}{_shown(_figure(root / file, where), form or '')}{end}"

    def block(match: re.Match) -> str:
        begin, file, first, after, end = match.groups()
        return begin + _lines(root / file, first, after) + end

    return BLOCK.sub(block, VALUE.sub(value, text))


def _figure(file: Path, where: str) -> Any:
    try:
        if file.suffix == ".tsv":
            *row, column = where.split()
            wanted = dict(pair.split("=", 1) for pair in row)
            (found,) = (row for row in read_tsv(file) if row.items() >= wanted.items())
            return found[column]
        found = read_json(file)
        for key in where.split("/"):
            found = found[int(key) if isinstance(found, list) else key]
        return found
    except (OSError, LookupError, ValueError) as error:
        raise InputError(f"{file}: {where}: no one figure is found: {error}") from None


def _shown(figure: Any, form: str) -> str:
    return format(float(figure) if form else figure, form)


def _lines(file: Path, first: str, after: str) -> str:
    lines = file.read_text(encoding="utf-8").splitlines()
    begins = [number for number, line in enumerate(lines) if line.startswith(first)]
    ends = [number for number, line in enumerate(lines) if line.startswith(after) and begins and number > begins[0]]
    if not ends:
        raise InputError(f"{file}: no lines from {first!r} to {after!r}")
    return "\n".join(lines[begins[0] : ends[0]]).rstrip() + "\n"


def main(arguments: list[str]) -> None:
    if arguments == ["--results"]:
        for made, kept in KEPT.items():
            shutil.copyfile(ROOT / made, ROOT / kept)
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        text = page.read_text(encoding="utf-8")
        if (new := filled(text)) != text:
            page.write_text(new, encoding="utf-8")
            print(f"{page.relative_to(ROOT)}: written")


if __name__ == "__main__":
    main(sys.argv[1:])
