from typing import TYPE_CHECKING

from kalam.corpus.split_documents import split_documents
from kalam.files.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
given, params, output = snakemake.input, snakemake.params, snakemake.output
split_documents(
    outputs={name: output[name] for name in ("train", "validation", "test")},
    statistics=output.statistics,
    merged=given.documents,
    joins=given.joins,
    sources=params.sources,
    registers=params.parts,
    settings=params.splits,
    seed=params.seed,
    dropped=output.dropped,
    counts=output.counts,
)
