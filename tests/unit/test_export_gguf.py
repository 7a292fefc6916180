"""GGUF of tiny models by llama.cpp itself. Slow: the tools are built first, where no workflow run has done so."""

import json

import pytest
from pipeline import llama_cpp  # noqa: F401

from kalam.export import architectures
from kalam.export.convert import convert, convert_adapter, convert_projector
from kalam.export.importance import importance
from kalam.export.quantise import quantise
from kalam.export.verify import verify, verify_adapter
from kalam.files.errors import InputError
from kalam.files.jsonl import write_json, write_jsonl

pytestmark = pytest.mark.slow
GEMMA = {"query_pre_attn_scalar": 8, "layer_types": ["sliding_attention"] * 2}
WIDE = {"hidden_size": 256, "intermediate_size": 256}
EVALUATION = {"context": 64, "stride": 32}
LOOSE = {"divergence": 0.05, "agreement": 0.5}
BOUNDS = {"f32": {"divergence": 1e-6, "agreement": 0.9}, "f16": {"divergence": 1e-4, "agreement": 0.9}}
EXPORTS = {"tokens": 400, "bounds": BOUNDS | {"q8_0": LOOSE, "q4_k_m": LOOSE}}


@pytest.fixture(scope="session")
def tools(llama_cpp):  # noqa: F811
    return llama_cpp


@pytest.fixture
def qwen2(model_folder, shapes, tmp_path):
    """A model of Qwen2 with a tokenizer of Qwen2's kind, which is what AutoTokenizer makes of any."""
    from transformers import AutoTokenizer

    from kalam.models.scratch import initialise, save

    tokenizer = AutoTokenizer.from_pretrained(model_folder("qwen2"))
    save(initialise(shapes["qwen2"], tokenizer, 0), tokenizer, tmp_path / "qwen2")
    return tmp_path / "qwen2"


@pytest.fixture
def documents(texts, tmp_path):
    """The test split."""
    rows = [{"id": str(number), "text": text, "register": "verse"} for number, text in enumerate(texts)]
    write_jsonl(tmp_path / "test.jsonl", rows)
    return tmp_path / "test.jsonl"


@pytest.fixture
def check(tools, documents, tmp_path):
    """Verify a GGUF against a model folder; gives the verification."""

    def verified(gguf, folder, kind="f32"):
        target = tmp_path / f"{kind}.json"
        verify("adapt", kind, tools, gguf, folder, documents, ["verse"], EVALUATION, EXPORTS, target)
        return json.loads(target.read_text())

    return verified


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(
    ("shape", "changes"), [("llama", {}), ("qwen3", {}), ("gemma3", GEMMA), ("mistral", {"sliding_window": None})]
)
def test_a_gguf_is_the_model(tools, model_folder, check, tmp_path, shape, changes, tied):
    folder = model_folder(shape, tie_word_embeddings=tied, **changes)
    convert(tools, folder, tmp_path / "m.f32.gguf")
    quantise(tools, tmp_path / "m.f32.gguf", "q8_0", None, tmp_path / "m.q8_0.gguf")
    found, small = (check(tmp_path / f"m.{kind}.gguf", folder, kind) for kind in ("f32", "q8_0"))
    assert (small["run"], small["kind"], small["file"]) == ("adapt", "q8_0", "m.q8_0.gguf")
    assert found["continuations"]["equal"] == found["continuations"]["prompts"] > 0
    assert found["bits_per_byte"] == pytest.approx(found["original_bits_per_byte"], abs=1e-4)


def test_a_model_card_changes_no_byte(tools, model_folder, tmp_path):
    """The card is written when it can be, before or after the conversion."""
    folder = model_folder()
    convert(tools, folder, tmp_path / "before.gguf")
    (folder / "README.md").write_text("---\nlanguage:\n- bn\nlicense: mit\nbase_model: a/b\n---\n# Card\n")
    convert(tools, folder, tmp_path / "after.gguf")
    assert (tmp_path / "before.gguf").read_bytes() == (tmp_path / "after.gguf").read_bytes()


def test_qwen2_with_a_tokenizer_of_its_own_kind(tools, qwen2, check, tmp_path, monkeypatch):
    """The converter recognises that of the hub's models by its hash; here it is told the name."""
    before = json.loads((qwen2 / "tokenizer.json").read_text())["pre_tokenizer"]["pretokenizers"][0]
    monkeypatch.setattr(architectures, "PRE_TOKENISERS", {before["pattern"]["Regex"]: "qwen2"})
    convert(tools, qwen2, tmp_path / "m.gguf")
    assert check(tmp_path / "m.gguf", qwen2)["tokens"] > 0


def test_a_k_quant_uses_the_importance_matrix(tools, model_folder, texts, check, tmp_path):
    folder = model_folder(**WIDE)
    convert(tools, folder, tmp_path / "m.f32.gguf")
    rows = [{"text": text, "register": "verse"} for text in texts * 20]
    write_jsonl(tmp_path / "train.jsonl", [*rows, {"text": "other", "register": "prose"}])
    importance(tools, tmp_path / "m.f32.gguf", tmp_path / "train.jsonl", ["verse"], 4, tmp_path / "matrix.gguf")
    for name, matrix in (("with", tmp_path / "matrix.gguf"), ("without", None)):
        quantise(tools, tmp_path / "m.f32.gguf", "q4_k_m", matrix, tmp_path / f"{name}.gguf")
    assert (tmp_path / "with.gguf").read_bytes() != (tmp_path / "without.gguf").read_bytes()
    assert check(tmp_path / "with.gguf", folder, "q4_k_m")["divergence"] > 0


def test_a_wrong_pre_tokeniser_fails(tools, model_folder, check, tmp_path, monkeypatch):
    """Qwen2's cuts every vowel sign from its letter."""
    monkeypatch.setattr(architectures, "PRE_TOKENISERS", dict.fromkeys(architectures.PRE_TOKENISERS, "qwen2"))
    folder = model_folder()
    convert(tools, folder, tmp_path / "m.gguf")
    with pytest.raises(InputError, match="other token ids than the tokenizer's"):
        check(tmp_path / "m.gguf", folder)
    assert not (tmp_path / "f32.json").exists()


def test_another_model_and_half_a_file_fail(tools, model_folder, check, tmp_path):
    convert(tools, model_folder(seed=1), tmp_path / "m.gguf")
    with pytest.raises(InputError, match="KL divergence"):
        check(tmp_path / "m.gguf", model_folder())
    whole = (tmp_path / "m.gguf").read_bytes()
    (tmp_path / "m.gguf").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="the reader ended before it had loaded"):
        check(tmp_path / "m.gguf", model_folder())


@pytest.mark.parametrize(("shape", "changes"), [("llama", {}), ("gemma3", GEMMA)])
def test_an_adapter_with_its_base(tools, model_folder, documents, tmp_path, shape, changes):
    import torch
    from lora import LORA

    from kalam.models.adapters import add_lora
    from kalam.models.loading import load_base

    folder, trained = model_folder(shape, **changes), tmp_path / "run"
    model = add_lora(load_base({"folder": folder}), LORA, 0, False)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    model.save_pretrained(trained / "adapter")
    write_json(trained / "meta.json", {"identity": {"kind": "adapter"}})
    base, files = trained / "base.json", (tmp_path / "adapter.gguf", tmp_path / "base.gguf")
    write_json(base, {"folder": str(folder), "adapter": None})
    convert_adapter(tools, trained / "adapter", base, *files)
    target = tmp_path / "adapter.json"
    verify_adapter("adapt", trained, base, tools, *files, documents, None, EVALUATION, EXPORTS, target)
    found = json.loads(target.read_text())
    assert (found["run"], found["kind"], found["file"]) == ("adapt", "adapter", "adapter.gguf")


def test_an_architecture_that_llama_cpp_does_not_have_fails_in_one_line(tools, model_folder, tmp_path):
    with pytest.raises(InputError, match="XGLMForCausalLM is not supported"):
        convert(tools, model_folder("xglm"), tmp_path / "m.gguf")
    with pytest.raises(InputError, match=r"convert_hf_to_gguf.py: ended with status 1"):
        convert_projector(tools, model_folder(), tmp_path / "p.gguf")


def test_a_model_that_sees_and_its_projector_are_converted(tools, tokenizer, tmp_path):
    """Qwen3-VL at its smallest; nothing compares it with the original yet."""
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    small = {"hidden_size": 64, "intermediate_size": 128}
    rope = {"rope_type": "default", "mrope_section": [4, 2, 2], "mrope_interleaved": True}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "num_hidden_layers": 2}
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text = {**small, **heads, **ends, "vocab_size": len(tokenizer), "rope_scaling": rope}
    patches = {"patch_size": 8, "num_position_embeddings": 64, "deepstack_visual_indexes": [0]}
    vision = {**small, **patches, "depth": 2, "num_heads": 4, "out_hidden_size": 64}
    Qwen3VLForConditionalGeneration(Qwen3VLConfig(text_config=text, vision_config=vision)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    pixels = {
        "patch_size": 8,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    }
    (tmp_path / "preprocessor_config.json").write_text(
        json.dumps(pixels | {"image_processor_type": "Qwen2VLImageProcessorFast", "size": {"shortest_edge": 1024}})
    )
    convert(tools, tmp_path, tmp_path / "m.gguf")
    convert_projector(tools, tmp_path, tmp_path / "m.projector.gguf")
