from pathlib import Path
from typing import TYPE_CHECKING

from kalam.data.selection import texts_of
from kalam.files.atomic import atomic_directory
from kalam.files.logs import log_to
from kalam.text.tokens import load_tokenizer, train_tokenizer
from kalam.training.task import task_class

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
folder = Path(snakemake.output.tokenizer).parent
with atomic_directory(folder) as temporary:
    train_tokenizer(texts_of(snakemake.input.train), **snakemake.params.tokenizer).save_pretrained(temporary)
tokenizer = load_tokenizer(folder)
for split in ("train", "validation"):
    texts = texts_of(snakemake.input[split], snakemake.params.registers)
    task_class(snakemake.params.task).encode(tokenizer, texts).save(snakemake.output[split])
