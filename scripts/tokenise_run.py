from typing import TYPE_CHECKING

from kalam.data.selection import texts_of
from kalam.files.jsonl import read_json
from kalam.files.logs import log_to
from kalam.text.tokens import load_tokenizer
from kalam.training.task import task_class

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
tokenizer = load_tokenizer(read_json(snakemake.input.base)["folder"])
for split in ("train", "validation"):
    texts = texts_of(snakemake.input[split], snakemake.params.registers)
    task_class(snakemake.params.task).encode(tokenizer, texts).save(snakemake.output[split])
