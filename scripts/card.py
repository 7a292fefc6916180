from typing import TYPE_CHECKING

from kalam.export.card import write_card
from kalam.files.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
given = snakemake.input
write_card(
    project=snakemake.wildcards.project,
    section=snakemake.params.project,
    run=snakemake.wildcards.run,
    merged=given.merged,
    models=given.models,
    train=dict(zip(snakemake.params.datasets, given.train, strict=True)),
    statistics=given.statistics,
    metrics=given.metrics,
    target=snakemake.output[0],
)
