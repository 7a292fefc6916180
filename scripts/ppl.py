from pathlib import Path
from typing import TYPE_CHECKING

from kalam.data.selection import documents_of
from kalam.evaluation.metrics import METRIC_COLUMNS
from kalam.evaluation.ppl import render
from kalam.evaluation.report import distinct, masked_reports, project_reports
from kalam.files.atomic import atomic_write
from kalam.files.jsonl import write_json
from kalam.files.logs import log_to
from kalam.files.provenance import provenance
from kalam.files.tables import write_tsv

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
params, output, name = snakemake.params, snakemake.output, snakemake.wildcards.project
results = Path(output.text).parent
documents = {split: documents_of(snakemake.input[split]) for split in ("validation", "test")}
reports = project_reports(name, params.project, params.candidates, documents["test"], results, params.seed)
masked = list(masked_reports(name, params.project, documents, results, params.seed))
rows = [row for report in reports for row in report["metrics"]] + [row for _, some in masked for row in some]
write_tsv(output.metrics, distinct(rows), METRIC_COLUMNS)
write_json(output.provenance, provenance(params.project, params.seed))
text = "\n".join([*map(render, reports), *(text for text, _ in masked)])
with atomic_write(output.text) as handle:
    handle.write(text)
print(text)
