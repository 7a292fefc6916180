from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from kalam.data.selection import documents_of, texts_of
from kalam.evaluation.fillings import GUESSES, fillings_page, gaps, guess
from kalam.evaluation.hidden_tokens import CountingFloor
from kalam.files.atomic import atomic_write
from kalam.files.jsonl import read_json
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
params, base = snakemake.params, read_json(snakemake.input.base)
tokenizer = load_tokenizer(base["folder"])
hidden = gaps(tokenizer, documents_of(snakemake.input.test, params.registers), params.gaps, params.context)
floor = CountingFloor(tokenizer, texts_of(snakemake.input.train, params.registers)).best(GUESSES)
guesses = [{"floor": floor} for _ in hidden]
trained = partial(load_adapted, run=Path(snakemake.input.run).parent)
for system, load in (("base", load_begun), ("trained", trained)):
    model = load(base, quantisation=params.quantisation, model_class="AutoModelForMaskedLM")
    for gap, found in zip(hidden, guesses, strict=True):
        found[system] = guess(model, tokenizer, gap)
title = f"{snakemake.wildcards.project}: {snakemake.wildcards.run}"
with atomic_write(snakemake.output[0]) as handle:
    handle.write(fillings_page(title, params.language, list(zip(hidden, guesses, strict=True))))
