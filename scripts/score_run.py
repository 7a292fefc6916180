from pathlib import Path
from typing import TYPE_CHECKING

from kalam.data.selection import documents_of
from kalam.evaluation.perplexity import score
from kalam.files.jsonl import read_json, write_jsonl
from kalam.files.logs import log_to
from kalam.machine.devices import use_devices
from kalam.machine.threads import use_threads
from kalam.models.adapters import load_adapted
from kalam.text.tokens import load_tokenizer

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
use_devices(snakemake.resources.gpu)
use_threads(snakemake.threads)
base = read_json(snakemake.input.base)
model = load_adapted(base, Path(snakemake.input.run).parent, snakemake.params.quantisation)
documents = documents_of(snakemake.input.test)
write_jsonl(snakemake.output[0], score(model, load_tokenizer(base["folder"]), documents, **snakemake.params.evaluation))
