from pathlib import Path
from typing import TYPE_CHECKING

from kalam.files.logs import log_to
from kalam.training.learn_tokenizer import learn_tokenizer

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
learn_tokenizer(snakemake.params.tokenizer, snakemake.input.train, Path(snakemake.output.tokenizer).parent)
