from pathlib import Path
from typing import TYPE_CHECKING

from kalam.data.selection import documents_of
from kalam.evaluation.perplexity import score
from kalam.files.jsonl import write_jsonl
from kalam.files.logs import log_to
from kalam.machine.devices import use_devices
from kalam.machine.threads import use_threads
from kalam.models.adapters import load_base
from kalam.models.bases import base_of_model
from kalam.text.tokens import load_tokenizer

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
use_devices(snakemake.resources.gpu)
use_threads(snakemake.threads)
folder = Path(snakemake.input.model).parent
model = load_base(base_of_model(folder.name, [snakemake.input.model]))
tokenizer = load_tokenizer(folder)
for split in ("validation", "test"):
    rows = score(model, tokenizer, documents_of(snakemake.input[split]), **snakemake.params.evaluation)
    write_jsonl(snakemake.output[split], rows)
