from pathlib import Path
from typing import TYPE_CHECKING

from kalam.corpus.documents import documents_of
from kalam.evaluation.metrics import METRIC_COLUMNS
from kalam.evaluation.ppl import render
from kalam.evaluation.report import distinct, project_reports
from kalam.files.atomic import atomic_write
from kalam.files.jsonl import write_json
from kalam.files.logs import log_to
from kalam.files.provenance import provenance
from kalam.files.tables import write_tsv

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
params, output = snakemake.params, snakemake.output
reports = project_reports(
    snakemake.wildcards.project,
    params.project,
    params.candidates,
    documents_of(snakemake.input.test),
    Path(output.text).parent,
    params.seed,
)
rows = [row for report in reports for row in report["metrics"]]
write_tsv(output.metrics, distinct(rows), METRIC_COLUMNS)
write_json(output.provenance, provenance(params.project, params.seed))
text = "\n".join(render(report) for report in reports)
with atomic_write(output.text) as handle:
    handle.write(text)
print(text)
