from typing import TYPE_CHECKING

from kalam.data.folds import write_fold
from kalam.files.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
given, params, output = snakemake.input, snakemake.params, snakemake.output
write_fold(
    {split: given[split] for split in ("train", "validation")},
    params.parts,
    params.column,
    params.number,
    params.of,
    params.seed,
    {split: output[split] for split in ("train", "validation", "test")},
)
