from typing import TYPE_CHECKING

from kalam.corpus.clean import clean_file
from kalam.corpus.emptied import dropped_beside
from kalam.files.jsonl import WHOLE
from kalam.files.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
names = snakemake.wildcards
shard = (int(names.shard), int(names.shards)) if names.get("shard") else WHOLE
clean_file(
    snakemake.input[0],
    snakemake.output.documents,
    snakemake.output.dropped,
    snakemake.output.counts,
    snakemake.params.language,
    snakemake.params.cleaning,
    shard,
    dropped_beside(snakemake.log[0]) if shard == WHOLE else None,
)
