"""Models whose attention takes no mask of packed documents are given each document by itself, and learn the same."""

import logging
from itertools import chain

import numpy as np
import pytest
import torch
from conftest import HEADS, TEXTS

from kalam.files.errors import InputError
from kalam.models.scratch import initialise
from kalam.tasks import causal, masked
from kalam.text.tokens import IGNORED
from kalam.training.apart import DocumentWindows
from kalam.training.checkpoints import CheckpointFolder
from kalam.training.engine import fit
from kalam.training.packing import PackedWindows, TokenStream
from kalam.training.probes import fault_of, probe
from kalam.training.recipe import Recipe

CAUSAL, MASKED = "AutoModelForCausalLM", "AutoModelForMaskedLM"
LAYERS = {"n_layer": 2, "n_head": 4}
APART = {
    "bloom": (CAUSAL, {"hidden_size": 32, **LAYERS}),
    "falcon": (CAUSAL, {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "alibi": True}),
    "mamba": (CAUSAL, {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 4}),
    "openai-gpt": (CAUSAL, {"n_embd": 32, **LAYERS}),
    "deberta-v2": (MASKED, HEADS),
    "deberta": (MASKED, HEADS),
    "esm": (MASKED, {**HEADS, "position_embedding_type": "rotary"}),
}
PACKED = {"gpt2": (CAUSAL, {"n_embd": 32, **LAYERS}), "mpt": (CAUSAL, {"d_model": 32, "n_heads": 4, "n_layers": 2})}
NEITHER = {
    "funnel": (MASKED, {"d_model": 32, "n_head": 4, "d_head": 8, "d_inner": 64, "block_sizes": [1, 1]}),
    "convbert": (MASKED, {**HEADS, "embedding_size": 32}),
}


@pytest.fixture
def made(tokenizer, unigram):
    def make(kind: str, head: str, shape: dict):
        mine = unigram if head == MASKED else tokenizer
        task = (masked if head == MASKED else causal).Task(mine)
        return initialise({"model_type": kind, **shape}, mine, 0, head), task

    return make


@pytest.mark.parametrize(("kind", "head", "shape"), [(kind, *row) for kind, row in APART.items()], ids=APART)
def test_what_takes_no_mask_of_packed_documents_is_told_and_goes_without(made, kind, head, shape, caplog):
    caplog.set_level(logging.INFO)
    model, task = made(kind, head, shape)
    probe(model, task)
    assert not task.packed and fault_of(model, task) is None
    assert f"{kind} takes no mask of packed documents (" in caplog.text
    assert "each is trained on by itself" in caplog.text


@pytest.mark.parametrize(("kind", "head", "shape"), [(kind, *row) for kind, row in PACKED.items()], ids=PACKED)
def test_what_takes_it_is_packed(made, kind, head, shape):
    model, task = made(kind, head, shape)
    probe(model, task)
    assert task.packed


@pytest.mark.parametrize(("kind", "head", "shape"), [(kind, *row) for kind, row in NEITHER.items()], ids=NEITHER)
def test_what_reads_its_padding_too_is_refused(made, kind, head, shape):
    with pytest.raises(InputError, match=f"^{kind}: cannot be trained here: documents see one another"):
        probe(*made(kind, head, shape))


@pytest.mark.parametrize("lookahead", [0, 1])
def test_every_token_is_predicted_as_often_as_in_packed_windows(lookahead):
    lengths = [1, 16, 17, 33, 2, 48, 5]
    documents = [list(range(100 * n, 100 * n + length)) for n, length in enumerate(lengths, 1)]
    stream = TokenStream.of(documents, word_starts=[[True] * length for length in lengths])
    apart, packed = DocumentWindows(stream, 16, lookahead), PackedWindows(stream, 16, 0, lookahead)
    labels = [window["labels"] for window in (apart[i] for i in range(len(apart)))]
    wanted = [document[lookahead:] for document in documents]
    assert [label for some in labels for label in some if label != IGNORED] == list(chain(*wanted))
    assert [int((some != IGNORED).sum()) for some in labels] == [apart.labels(i) for i in range(len(apart))]
    assert apart.targets == packed.targets == sum(map(len, wanted))
    assert apart.costs.max() == 16 and list(apart.costs) == [len(some) for some in labels]
    assert all(window["word_starts"].all() and not window["document"].any() for window in map(apart.__getitem__, [0]))
    window = apart[len(apart) - 1]
    assert list(window["input_ids"][:2]) == [700, 701] and list(window["position_ids"][:2]) == [0, 1]


def total(model, task, stream, context):
    examples = task.examples(stream, context)
    batch = task.collate([examples[i] for i in range(len(examples))], [(0,)] * len(examples))
    with torch.no_grad():
        return [float(value) for value in task.loss(model.eval(), batch)]


def test_a_model_that_can_do_both_has_one_loss_in_both(tiny, tokenizer, stream):
    """Each document in a window of its own is what packing by a mask stands for."""
    model, task = tiny("llama"), causal.Task(tokenizer)
    whole = total(model, task, stream, len(stream.tokens))
    task.packed = False
    assert total(model, task, stream, len(stream.tokens)) == pytest.approx(whole, rel=1e-5)
    assert whole[1] == len(stream.tokens) - len(TEXTS)


@pytest.mark.parametrize("kind", ["bloom", "deberta-v2"])
def test_it_is_trained(made, kind, tmp_path, tokenizer, unigram):
    head, shape = APART[kind]
    model, task = made(kind, head, shape)
    mine = unigram if head == MASKED else tokenizer
    file = tmp_path / "tokens"
    TokenStream.write(file, task.encode(mine, [{"text": text} for text in TEXTS * 4]))
    recipe = Recipe(1, 1e-2, 6, context=32, batch=4, evaluate_every=3, patience=9, precision="fp32")
    outcome = fit(model, task, {"train": file, "validation": file}, recipe, CheckpointFolder(tmp_path / "run"))
    assert outcome["steps"] == 6 and outcome["best_step"] == 6
    assert outcome["validation_loss"] < np.log(len(mine))
