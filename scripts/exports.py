from pathlib import Path
from typing import TYPE_CHECKING

from kalam.export.summary import draw, render
from kalam.files.atomic import atomic_write
from kalam.files.jsonl import read_json
from kalam.files.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
project, runs = snakemake.wildcards.project, snakemake.params.runs
merged = {run: read_json(file) for run, file in zip(runs, snakemake.input.merged, strict=True)}
found = [(Path(file).name.split(".")[0], read_json(file)) for file in snakemake.input.verifications]
files = {run: [verification for name, verification in found if name == run] for run in runs}
text = render(project, merged, files)
with atomic_write(snakemake.output.text) as handle:
    handle.write(text)
draw(files, project, snakemake.output.svg)
print(text)
