from pathlib import Path
from typing import TYPE_CHECKING

from kalam.evaluation.candidates import CANDIDATE_COLUMNS, compare
from kalam.export.convertible import folder_objection
from kalam.files.jsonl import read_jsonl, write_json
from kalam.files.logs import log_to
from kalam.files.tables import write_tsv

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
models = {}
for name, scores, meta in zip(snakemake.params.models, snakemake.input.scores, snakemake.input.models, strict=True):
    objection = folder_objection(Path(meta).parent) if snakemake.params.exported else None
    barred = objection and f"cannot be exported: {objection}"
    models[name] = {"rows": list(read_jsonl(scores)), "eligible": True, "reason": None, "barred": barred}
table, best = compare(
    models,
    snakemake.params.registers,
    snakemake.params.max_bits_per_byte,
    snakemake.params.choice,
    resamples=snakemake.params.resamples,
    seed=snakemake.params.seed,
)
write_tsv(snakemake.output.table, table, CANDIDATE_COLUMNS)
write_json(snakemake.output.best, best)
