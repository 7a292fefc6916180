"""Merged models: equal to base and adapter, tied or not, and to what a stranger loads; nothing else passes."""

import json

import pytest
import torch
from lora import LORA

from kalam.export import merging
from kalam.export.gate import compare, logits_of
from kalam.export.heldout import HeldOut
from kalam.export.merging import in_fp32, merge_run, merged
from kalam.files.errors import InputError
from kalam.models.adapters import add_lora, load_adapted, load_base

EVALUATION = {"context": 64, "stride": 32}
BOUNDS = {
    "f32": {"divergence": 1e-5, "agreement": 0.995},
    "f16": {"divergence": 1e-4, "agreement": 0.9},
    "bf16": {"divergence": 0.002, "agreement": 0.8},
}
EXPORTS = {"dtype": "fp16", "tokens": 400, "bounds": BOUNDS}


@pytest.fixture(scope="module")
def documents(texts):
    return [{"id": str(number), "text": text} for number, text in enumerate(texts)]


@pytest.fixture
def run(tmp_path, model_folder):
    """A run of a shape: its base, and its folder with an adapter whose weights are large enough to matter."""

    def make(shape="llama", quantisation="nf4", lora=LORA, added=None, **changes):
        folder = model_folder(shape, **changes)
        model = add_lora(load_base({"folder": folder}, quantisation), lora, 0, False, added=added)
        generator = torch.Generator().manual_seed(1)
        for name, weight in model.named_parameters():
            if "lora_B" in name or "trainable_tokens" in name:
                weight.data.normal_(std=0.1, generator=generator)
        model.save_pretrained(tmp_path / "run" / "adapter")
        (tmp_path / "run/meta.json").write_text(json.dumps({"identity": {"kind": "adapter"}, "digest": "d"}))
        base = {"model": "m", "folder": str(folder), "adapter": None, "remote_code": False, "digest": "b"}
        return base, tmp_path / "run"

    return make


@pytest.fixture
def heldout(documents, tokenizer):
    return HeldOut.of(documents, tokenizer, 64, 32, 400)


def difference(heldout, first, second) -> dict:
    sights = [window.tokens for window in heldout.windows]
    return compare(heldout.windows, logits_of(first, sights), logits_of(second, sights))


@pytest.mark.parametrize("shape", ["llama", "qwen2", "gemma3"])
@pytest.mark.parametrize("tied", [True, False])
def test_merged_is_base_and_adapter(run, heldout, shape, tied):
    base, folder = run(shape, tie_word_embeddings=tied)
    model = merged(base, folder, "nf4", "auto")
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    original = in_fp32(load_adapted(base, folder, "nf4"))
    assert difference(heldout, original, model)["largest"] < 1e-4
    assert getattr(model.config, "query_pre_attn_scalar", 8) == 8, "llama.cpp takes the size of a head"
    assert difference(heldout, in_fp32(load_base(base, "nf4")), model)["divergence"] > 1e-3, "the adapter does nothing"
    assert difference(heldout, in_fp32(load_adapted(base, folder, "none")), model)["largest"] > 1e-4, "nf4 does nothing"


def test_an_adapter_on_tied_embeddings_unties_them(run, heldout):
    base, folder = run("llama", "none", {**LORA, "targets": ["q_proj", "lm_head"]}, tie_word_embeddings=True)
    model = merged(base, folder, "none", "auto")
    assert not model.config.tie_word_embeddings
    assert difference(heldout, load_adapted(base, folder, "none"), model)["largest"] < 1e-4


@pytest.mark.parametrize("tied", [True, False])
def test_the_trained_rows_of_new_pieces_are_merged(run, heldout, tied):
    base, folder = run("llama", added=(40, 90), tie_word_embeddings=tied)
    model = merged(base, folder, "nf4", "auto")
    original = in_fp32(load_adapted(base, folder, "nf4"))
    assert difference(heldout, original, model)["largest"] < 1e-4
    assert (model.get_input_embeddings().weight is model.get_output_embeddings().weight) == tied


@pytest.mark.parametrize("dtype", ["fp16", "bf16"])
def test_a_stranger_loads_what_was_trained(run, documents, tmp_path, dtype):
    base, folder = run()
    target = tmp_path / "exports"
    merge_run(base, folder, "nf4", "auto", documents, EVALUATION, EXPORTS | {"dtype": dtype}, target)
    meta = json.loads((target / "meta.json").read_text())
    assert meta["figures"]["divergence"] < BOUNDS["bf16" if dtype == "bf16" else "f16"]["divergence"]
    assert meta["figures"]["tokens"] > 100
    assert (
        json.loads((target / "config.json").read_text())["dtype"]
        == {
            "fp16": "float16",
            "bf16": "bfloat16",
        }[dtype]
    )
    assert (target / "tokenizer.json").read_bytes() == (folder.parent / base["folder"] / "tokenizer.json").read_bytes()


def test_two_merges_give_the_same_bytes(run, documents, tmp_path):
    base, folder = run()
    found = []
    for name in ("one", "two"):
        merge_run(base, folder, "nf4", "auto", documents, EVALUATION, EXPORTS, tmp_path / name)
        found.append({p.name: p.read_bytes() for p in sorted((tmp_path / name).iterdir())})
    assert found[0] == found[1]


@pytest.fixture
def tampered(monkeypatch):
    """A merging, or a saving, that changes one weight a little."""

    def tamper(name):
        plain = getattr(merging, name)

        def change(model):
            next(iter(model.parameters())).data[5:40] += 0.05

        def merge_wrongly(*arguments):
            model = plain(*arguments)
            change(model)
            return model

        def save_wrongly(model, *arguments):
            change(model)
            plain(model, *arguments)

        monkeypatch.setattr(merging, name, {"merged": merge_wrongly, "save_as": save_wrongly}[name])

    return tamper


@pytest.mark.parametrize(("name", "where"), [("merged", "merged in fp32"), ("save_as", "loaded anew")])
def test_a_tampered_weight_fails_with_the_figure(run, documents, tmp_path, tampered, name, where):
    base, folder = run()
    tampered(name)
    with pytest.raises(InputError, match=rf"{where}: KL divergence \d\S+ nats a token; allowed is up to"):
        merge_run(base, folder, "nf4", "auto", documents, EVALUATION, EXPORTS, tmp_path / "exports")
    assert not (tmp_path / "exports").exists()


def test_a_tokenizer_that_a_stranger_does_not_get_fails(run, documents, tmp_path):
    """AutoTokenizer has a pre-tokeniser of its own for Qwen2, whatever lies in the folder."""
    base, folder = run("qwen2")
    with pytest.raises(InputError, match="other token ids than the tokenizer's"):
        merge_run(base, folder, "nf4", "auto", documents, EVALUATION, EXPORTS, tmp_path / "exports")


def test_a_weight_beyond_fp16_is_named(run, documents, tmp_path, monkeypatch):
    base, folder = run()
    plain = load_base

    def huge(*arguments):
        model = plain(*arguments)
        model.model.norm.weight.data[0] = 1e6
        return model

    monkeypatch.setattr(merging, "load_base", huge)
    monkeypatch.setattr(merging, "require", lambda *_: None)
    with pytest.raises(InputError, match=r"exports.dtype: model.norm.weight has weights beyond fp16; allowed is bf16"):
        merge_run(base, folder, "nf4", "auto", documents, EVALUATION, EXPORTS, tmp_path / "exports")


def test_more_tokens_than_weights_are_refused(run, documents, tmp_path, monkeypatch):
    base, folder = run()
    monkeypatch.setattr("transformers.PreTrainedTokenizerFast.__len__", lambda _: 100_000)
    with pytest.raises(InputError, match="the tokenizer has 100000 tokens, the model has weights for"):
        merge_run(base, folder, "nf4", "auto", documents, EVALUATION, EXPORTS, tmp_path / "exports")
