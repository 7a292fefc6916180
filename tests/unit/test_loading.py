"""A model is what its files hold: what is not in them is not drawn at random, and a causal one looks back only."""

import ast
import json
import shutil
from pathlib import Path

import pytest
import torch
from conftest import HEADS
from lora import LORA
from safetensors.torch import load_file, save_file

from kalam.files.errors import InputError
from kalam.models.adapters import add_lora, continue_lora, merge, put_on
from kalam.models.download import fetch
from kalam.models.loading import from_folder, load_base
from kalam.models.scratch import initialise
from kalam.text.tokens import load_tokenizer

ROOT = Path(__file__).resolve().parents[2]
LOADERS = {"from_pretrained", "from_config"}
BERT = {"model_type": "bert", **HEADS, "max_position_embeddings": 64}


def change(file: Path, change) -> None:
    weights = change(load_file(file))
    save_file(weights, file, metadata={"format": "pt"})


def without(part: str):
    return lambda weights: {name: value for name, value in weights.items() if part not in name}


def prefixed(weights):
    return {f"base_model.model.{name}": value for name, value in weights.items()}


def narrower(weights):
    return {name: value[:, :8].contiguous() if "k_proj" in name else value for name, value in weights.items()}


LACKING = {
    "prefixed": (prefixed, r"21 of 21 weights of LlamaForCausalLM are not in it: model\.embed_tokens\.weight"),
    "no layer": (
        without("layers.0."),
        r"9 of 21 weights of LlamaForCausalLM are not in it: model\.layers\.0\.self_attn\.q_proj\.weight",
    ),
    "no norm": (without("model.norm"), r"1 of 21 weights of LlamaForCausalLM are not in it: model\.norm\.weight"),
    "no embeddings": (without("embed_tokens"), r"1 of 21 weights of LlamaForCausalLM are not in it: model\.embed"),
    "another shape": (narrower, "no CausalLM model that can be loaded: |cannot be asked what follows some tokens: "),
}


@pytest.mark.parametrize(("damage", "line"), LACKING.values(), ids=LACKING)
@pytest.mark.parametrize("quantisation", ["none", "nf4"])
def test_weights_that_are_not_there_are_not_drawn_at_random(model_folder, damage, line, quantisation):
    folder = model_folder("llama", tie_word_embeddings=False)
    change(folder / "model.safetensors", damage)
    with pytest.raises(InputError, match=line) as told:
        load_base({"folder": folder}, quantisation)
    assert str(told.value).startswith(f"{folder}: ") and "\n" not in str(told.value)


def test_a_tied_weight_that_is_not_there_counts_once(model_folder):
    folder = model_folder("llama", tie_word_embeddings=True)
    change(folder / "model.safetensors", prefixed)
    with pytest.raises(InputError, match=r"20 of 20 weights of LlamaForCausalLM are not in it: model\.embed_tokens"):
        load_base({"folder": folder})


def test_an_output_layer_that_is_not_tied_any_more_is_wanted(model_folder):
    folder = model_folder("llama", tie_word_embeddings=True)
    load_base({"folder": folder})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": False}))
    with pytest.raises(InputError, match=r"1 of 21 weights of LlamaForCausalLM are not in it: lm_head\.weight"):
        load_base({"folder": folder})


def test_a_model_with_another_head_is_refused(tokenizer, tmp_path):
    from transformers import AutoConfig, AutoModelForSequenceClassification

    config = AutoConfig.for_model(**BERT, vocab_size=len(tokenizer), is_decoder=True)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="of BertLMHeadModel are not in it: cls"):
        load_base({"folder": tmp_path})


# --- what looks ahead


@pytest.mark.parametrize("kind", ["bert", "electra", "roberta", "xlm-roberta"])
def test_a_causal_model_that_looks_ahead_is_refused_where_it_is_made_and_where_it_is_loaded(kind, tokenizer, tmp_path):
    shape = BERT | {"model_type": kind}
    with pytest.raises(InputError) as told:
        initialise(shape, tokenizer, 0)
    ahead = f"no causal model: its predictions change with what follows them; allowed of {kind} is one with is_decoder"
    assert str(told.value) == f"architecture.model_type: {kind}: {ahead}: true"
    model = initialise(shape | {"is_decoder": True}, tokenizer, 0)
    model.save_pretrained(tmp_path)
    load_base({"folder": tmp_path})
    settings = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(settings | {"is_decoder": False}))
    with pytest.raises(InputError, match=f"^{tmp_path}: no causal model: its predictions change with what follows"):
        load_base({"folder": tmp_path})


def test_a_masked_model_may_look_ahead(unigram):
    model = initialise(BERT, unigram, 0, "AutoModelForMaskedLM")
    assert model.training  # and nothing was asked of it


# --- the files around the weights


def fetched(folder: Path, target: Path) -> None:
    fetch({"kind": "local", "path": str(folder), "task": "causal"}, "AutoModelForCausalLM", target)


FILES = {
    "no model_type": ("config.json", '{"hidden_size": 3}', "config.json names no model_type; allowed are those of"),
    "a list": ("config.json", "[1]", "config.json names no model_type; allowed are those of transformers"),
    "a number": ("config.json", '{"model_type": 3}', "config.json names no model_type; allowed are those of"),
    "half a config": ("config.json", '{"model_type": "lla', "/config.json: not JSON in UTF-8: Unterminated string"),
    "half a tokenizer": ("tokenizer.json", '{"version": "1.0", ', ": its tokenizer cannot be loaded: "),
    "an empty tokenizer": ("tokenizer.json", "", ": its tokenizer cannot be loaded: "),
    "another tokenizer": ("tokenizer.json", '{"model": {"type": "BPE"}}', ": its tokenizer cannot be loaded: "),
    "half its settings": ("tokenizer_config.json", '{"bos_token": ', ": its tokenizer cannot be loaded: "),
}


@pytest.mark.parametrize(("file", "content", "line"), FILES.values(), ids=FILES)
def test_a_broken_file_of_a_model_is_a_line(model_folder, tmp_path, file, content, line):
    folder = model_folder()
    (folder / file).write_text(content)
    with pytest.raises(InputError) as told:
        fetched(folder, tmp_path / "model")
    assert str(told.value).startswith(str(folder)) and line in str(told.value) and "\n" not in str(told.value)
    assert not (tmp_path / "model" / "meta.json").exists()


def test_more_tokens_than_embeddings_are_refused(model_folder, tmp_path):
    folder = model_folder()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": 300}))
    size = len(load_tokenizer(folder))
    with pytest.raises(InputError, match=f"its tokenizer has {size} tokens; allowed are 300, the rows of its embed"):
        fetched(folder, tmp_path / "model")
    assert size == config["vocab_size"]


@pytest.mark.parametrize("damage", ["another shape", "a layer missing", "half the weights", "no settings"])
def test_an_adapter_that_does_not_fit_is_a_line(tiny, tmp_path, damage):
    adapter = tmp_path / "adapter"
    add_lora(tiny(), LORA, 0, False).save_pretrained(adapter)
    weights = adapter / "adapter_model.safetensors"
    put_on(tiny(), adapter)
    if damage == "a layer missing":
        change(weights, without("layers.1.self_attn"))
    elif damage == "half the weights":
        weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    elif damage == "no settings":
        (adapter / "adapter_config.json").write_text("{")
    base = {"intermediate_size": 48} if damage == "another shape" else {}
    for use in (put_on, merge, lambda model, folder: continue_lora(model, folder, 0.0, False)):
        with pytest.raises(InputError, match=f"^{adapter}: no adapter that fits llama here: ") as told:
            use(tiny(**base), adapter)
        assert "\n" not in str(told.value)


# --- nobody's code


def loaders(path: Path):
    """Calls that load by transformers, in the code and not in the text of a card."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LOADERS:
            whose = ast.unparse(node.func.value)
            if whose not in ("PeftModel", "PeftConfig"):  # which load an adapter only, and take no such word
                yield f"{path.relative_to(ROOT)}:{node.lineno}", {keyword.arg for keyword in node.keywords}


def test_whatever_loads_says_whose_code_may_run():
    found = [call for path in (*ROOT.glob("kalam/**/*.py"), *ROOT.glob("scripts/*.py")) for call in loaders(path)]
    assert len(found) >= 6
    assert [place for place, words in found if "trust_remote_code" not in words] == []


def test_code_beside_a_model_does_not_run(model_folder, tmp_path):
    folder = Path(shutil.copytree(model_folder(), tmp_path / "model"))
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    for name, key in (("config.json", "AutoModelForCausalLM"), ("tokenizer_config.json", "AutoTokenizer")):
        settings = json.loads((folder / name).read_text())
        settings["auto_map"] = {"AutoConfig": "evil.Evil", key: "evil.Evil"}
        (folder / name).write_text(json.dumps(settings))
    model = from_folder(folder, "AutoModelForCausalLM", False, dtype=torch.float32)
    load_tokenizer(folder)
    assert model.config.model_type == "llama" and not (tmp_path / "ran").exists()
