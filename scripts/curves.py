from typing import TYPE_CHECKING

from kalam.evaluation.curves import draw_curves
from kalam.files.jsonl import read_jsonl
from kalam.files.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
draw_curves(
    read_jsonl(snakemake.input[0]), f"{snakemake.wildcards.project}: {snakemake.wildcards.run}", snakemake.output
)
