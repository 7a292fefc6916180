from typing import TYPE_CHECKING

from kalam.export.card import card
from kalam.files.atomic import atomic_write
from kalam.files.jsonl import read_json
from kalam.files.logs import log_to
from kalam.files.tables import read_tsv

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
meta = read_json(snakemake.input.merged)
tables = [read_tsv(snakemake.input[name]) for name in ("statistics", "metrics")]
with atomic_write(snakemake.output[0]) as handle:
    handle.write(card(snakemake.wildcards.project, snakemake.params.project, snakemake.wildcards.run, meta, *tables))
