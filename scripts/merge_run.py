from pathlib import Path
from typing import TYPE_CHECKING

from kalam.data.selection import documents_of
from kalam.export.merging import merge_run
from kalam.files.jsonl import read_json
from kalam.files.logs import log_to
from kalam.machine.threads import use_threads

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
use_threads(snakemake.threads)
params = snakemake.params
merge_run(
    read_json(snakemake.input.base),
    Path(snakemake.input.run).parent,
    params.quantisation,
    params.precision,
    documents_of(snakemake.input.test, params.registers),
    params.evaluation,
    params.exports,
    Path(snakemake.output[0]).parent,
)
