from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from kalam.data.selection import documents_of, texts_of
from kalam.evaluation.hidden_tokens import CountingFloor, score
from kalam.files.jsonl import read_json, write_jsonl
from kalam.files.logs import log_to
from kalam.machine.devices import use_devices
from kalam.machine.threads import use_threads
from kalam.models.adapters import load_adapted, load_begun
from kalam.text.tokens import load_tokenizer

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
use_devices(snakemake.resources.gpu)
use_threads(snakemake.threads)
params, output, base = snakemake.params, snakemake.output, read_json(snakemake.input.base)
tokenizer = load_tokenizer(base["folder"])
documents = {split: documents_of(snakemake.input[split]) for split in ("validation", "test")}
floor = CountingFloor(tokenizer, texts_of(snakemake.input.train, params.registers))
trained = partial(load_adapted, run=Path(snakemake.input.run).parent)
for system, load in (("floor", None), ("base", load_begun), ("trained", trained)):
    model = load and load(base, quantisation=params.quantisation, model_class="AutoModelForMaskedLM")
    for split, some in documents.items():
        rows = score(model, tokenizer, some, **params.hiding) if model else floor.score(some)
        write_jsonl(output[f"{system}_{split}"], rows)
