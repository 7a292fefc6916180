from typing import TYPE_CHECKING

from kalam.corpus.statistics import write_statistics
from kalam.data.split import split_files
from kalam.files.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
splits = {name: snakemake.output[name] for name in ("train", "validation", "test")}
split_files(
    snakemake.input.documents,
    snakemake.input.joins,
    splits,
    snakemake.params.sources,
    snakemake.params.parts,
    snakemake.params.splits,
    snakemake.params.seed,
    snakemake.output.dropped,
    snakemake.output.counts,
)
write_statistics(splits, snakemake.output.statistics)
