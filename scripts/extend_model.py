from pathlib import Path
from typing import TYPE_CHECKING

from kalam.data.selection import texts_by_register, texts_of
from kalam.files.logs import log_to
from kalam.files.tables import write_tsv
from kalam.machine.threads import use_threads
from kalam.models.extension import extend_model, tokens_per_byte
from kalam.training.task import task_class

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
use_threads(snakemake.threads)
old, new = extend_model(
    base=Path(snakemake.input.base).parent,
    texts=texts_of(snakemake.input.train, snakemake.params.registers),
    pieces=snakemake.params.pieces,
    model_class=task_class(snakemake.params.task).model_class,
    folder=Path(snakemake.output.meta).parent,
)
rows = tokens_per_byte({"base": old, "extended": new}, texts_by_register(snakemake.input.validation))
write_tsv(snakemake.output.tokens, rows, list(rows[0]))
