from typing import TYPE_CHECKING

from kalam.evaluation.candidates import choose
from kalam.export.convertible import folder_objection
from kalam.files.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
params = snakemake.params
choose(
    dict(zip(params.models, snakemake.input.scores, strict=True)),
    dict(zip(params.models, snakemake.input.models, strict=True)),
    params.parts,
    params.max_bits_per_byte,
    params.choice,
    folder_objection if params.exported else None,
    params.resamples,
    params.seed,
    snakemake.output.table,
    snakemake.output.best,
)
