from typing import TYPE_CHECKING

from kalam.evaluation.candidates import CANDIDATE_COLUMNS, compare
from kalam.files.jsonl import read_jsonl, write_json
from kalam.files.logs import log_to
from kalam.files.tables import write_tsv

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
table, best = compare(
    {
        name: {"rows": list(read_jsonl(path)), "eligible": True, "reason": None}
        for name, path in zip(snakemake.params.models, snakemake.input, strict=True)
    },
    snakemake.params.registers,
    snakemake.params.max_bits_per_byte,
    snakemake.params.choice,
    resamples=snakemake.params.resamples,
    seed=snakemake.params.seed,
)
write_tsv(snakemake.output.table, table, CANDIDATE_COLUMNS)
write_json(snakemake.output.best, best)
