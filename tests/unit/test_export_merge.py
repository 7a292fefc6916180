"""Merged models: equal to base and adapter, tied or not, and to what others load; nothing else passes."""

import json
from pathlib import Path

import pytest
import torch
from forking import FORKS
from lora import LORA
from transformers import PreTrainedModel

from kalam.export import merging
from kalam.export.gate import compare, logits_of
from kalam.export.heldout import HeldOut
from kalam.export.merging import in_fp32, merge_run, merged
from kalam.files.errors import InputError
from kalam.files.jsonl import write_json, write_jsonl
from kalam.models.adapters import add_lora
from kalam.models.loading import load_adapted, load_base

EVALUATION = {"context": 64, "stride": 32}
BOUNDS = {
    "f32": {"divergence": 1e-5, "agreement": 0.995},
    "f16": {"divergence": 1e-4, "agreement": 0.9},
    "bf16": {"divergence": 0.002, "agreement": 0.8},
}
EXPORTS = {"dtype": "fp16", "tokens": 400, "bounds": BOUNDS}


@pytest.fixture(scope="module")
def documents(texts):
    return [{"id": str(number), "text": text, "register": "verse"} for number, text in enumerate(texts)]


META = {"identity": {"kind": "adapter"}, "digest": "d", "made_with": {"precision": "fp32"}}


@pytest.fixture
def merge(documents, tmp_path, monkeypatch):
    """Merge a run into a folder, as the rule does; what reads it is a fork, but for one that is as others have it."""
    monkeypatch.setenv("PYTHONPATH", str(FORKS))

    def merge_into(folder, base, trained, **exports):
        write_json(tmp_path / "base.json", base)
        write_jsonl(tmp_path / "test.jsonl", documents)
        files = {"trained": trained, "base": tmp_path / "base.json", "test": tmp_path / "test.jsonl"}
        settings = {"quantisation": "nf4", "parts": ["verse"], "evaluation": EVALUATION}
        merge_run("adapt", **files, **settings, exports=EXPORTS | exports, folder=tmp_path / folder)
        return tmp_path / folder

    return merge_into


@pytest.fixture
def run(tmp_path, model_folder):
    """A run of a shape: its base, and its folder with an adapter whose weights are large enough to matter."""

    def make(shape="llama", quantisation="nf4", lora=LORA, added=None, **changes):
        folder = model_folder(shape, **changes)
        model = add_lora(
            load_base({"folder": folder}, quantisation), lora, 0, False, rows=range(*added) if added else ()
        )
        generator = torch.Generator().manual_seed(1)
        for name, weight in model.named_parameters():
            if "lora_B" in name or "trainable_tokens" in name:
                weight.data.normal_(std=0.1, generator=generator)
        model.save_pretrained(tmp_path / "run" / "adapter")
        (tmp_path / "run/meta.json").write_text(json.dumps(META))
        base = {"model": "m", "folder": str(folder), "adapter": None, "remote_code": False, "digest": "b"}
        return base, tmp_path / "run"

    return make


@pytest.fixture
def heldout(documents, tokenizer):
    return HeldOut.of(documents, tokenizer, 64, 32, 400)


def difference(heldout, first, second) -> dict:
    return compare(heldout.windows, *(logits_of(model, heldout.window_ids) for model in (first, second)))


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
def test_others_load_what_was_trained(run, merge, dtype, monkeypatch):
    if dtype == "bf16":
        monkeypatch.delenv("PYTHONPATH")
    base, trained = run()
    target = merge("exports", base, trained, dtype=dtype)
    meta = json.loads((target / "meta.json").read_text())
    assert (meta["run"], meta["base"], meta["dtype"]) == ("adapt", "m", dtype)
    assert meta["figures"]["divergence"] < BOUNDS["bf16" if dtype == "bf16" else "f16"]["divergence"]
    assert meta["figures"]["tokens"] > 100
    saved = json.loads((target / "config.json").read_text())
    assert saved["dtype"] == {"fp16": "float16", "bf16": "bfloat16"}[dtype]


def test_a_run_is_merged_in_the_precision_that_it_was_trained_in(run, merge, monkeypatch):
    """Not in the one that this device would take."""
    seen = []
    load = merging.load_base
    monkeypatch.setattr(merging, "load_base", lambda *given, **more: seen.append(given[2]) or load(*given, **more))
    base, folder = run()
    write_json(folder / "meta.json", META | {"made_with": {"precision": "bf16"}})
    merge("merged", base, folder)
    assert set(seen) == {"bf16"}


def test_two_merges_give_the_same_bytes(run, merge):
    base, trained = run()
    folders = [merge(name, base, trained) for name in ("one", "two")]
    first, second = ({file.name: file.read_bytes() for file in folder.iterdir()} for folder in folders)
    assert first == second


def test_weights_are_one_file_and_every_other_file_is_the_base_s(run, merge, monkeypatch):
    """Whatever the library's own limit of a file, and whatever files the base's weights are in."""
    base, trained = run()
    folder = Path(base["folder"])
    load_base(base).save_pretrained(folder, max_shard_size="20KB")
    (folder / "model.safetensors").unlink()
    assert (folder / "model.safetensors.index.json").exists()
    (folder / "generation_config.json").write_text('{"temperature": 0.6, "do_sample": true}')
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    (folder / "LICENSE").write_text("Free.")
    (folder / "meta.json").write_text("{}")
    limits = list(PreTrainedModel.save_pretrained.__defaults__)
    limits[limits.index("50GB")] = "20KB"
    monkeypatch.setattr(PreTrainedModel.save_pretrained, "__defaults__", tuple(limits))

    target = merge("exports", base, trained)
    names = {file.name for file in target.iterdir()}
    copied = {file.name for file in folder.iterdir() if ".safetensors" not in file.name} - {"config.json", "meta.json"}
    assert {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "LICENSE"} <= copied
    assert names == {"model.safetensors", "config.json", "meta.json"} | copied
    for name in copied:
        assert (target / name).read_bytes() == (folder / name).read_bytes(), name


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
def test_a_tampered_weight_fails_with_the_figure(run, merge, tmp_path, tampered, name, where):
    base, trained = run()
    tampered(name)
    with pytest.raises(InputError, match=rf"{where}: KL divergence \d\S+ nats a token; allowed is up to"):
        merge("exports", base, trained)
    assert not (tmp_path / "exports").exists()


def test_a_tokenizer_that_others_do_not_get_fails(run, merge):
    """AutoTokenizer has a pre-tokeniser of its own for Qwen2, whatever lies in the folder."""
    base, trained = run("qwen2")
    with pytest.raises(InputError, match="exports: loaded anew: other token ids than the tokenizer's"):
        merge("exports", base, trained)


def test_a_weight_beyond_fp16_is_named(run, merge, monkeypatch):
    base, trained = run()
    plain = load_base

    def huge(*arguments):
        model = plain(*arguments)
        model.model.norm.weight.data[0] = 1e6
        return model

    monkeypatch.setattr(merging, "load_base", huge)
    monkeypatch.setattr(merging, "require_bounds", lambda *_: None)
    with pytest.raises(InputError, match=r"exports.dtype: model.norm.weight has weights beyond fp16; allowed is bf16"):
        merge("exports", base, trained)


def test_more_tokens_than_weights_are_refused(run, merge, monkeypatch):
    base, trained = run()
    monkeypatch.setattr("transformers.PreTrainedTokenizerFast.__len__", lambda _: 100_000)
    with pytest.raises(InputError, match="the tokenizer has 100000 tokens, the model has weights for"):
        merge("exports", base, trained)


def test_a_reader_that_cannot_load_what_was_saved_fails_in_one_line(run, merge, tmp_path, monkeypatch):
    base, trained = run()
    monkeypatch.setattr(merging, "save_as", lambda *_: None)
    with pytest.raises(InputError, match=r"exports: loaded anew: the reader ended before it had loaded .status 1.: \S"):
        merge("exports", base, trained)
    assert not (tmp_path / "exports").exists()
