"""A vocabulary that grows: what was there stays, what is new is the mean of what it stands for."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lora import LORA

from kalam.files.errors import InputError
from kalam.files.jsonl import read_json, write_json
from kalam.models.adapters import add_lora
from kalam.models.bases import base_of_model
from kalam.models.extension import enlarge, extend_model, tokens_per_byte
from kalam.models.loading import load_adapted, load_base
from kalam.models.scratch import initialise, save
from kalam.text.tokens import encode_documents, encode_plain, load_tokenizer, train_tokenizer
from kalam.text.vocabulary import extend

BANGLA = ["বৃষ্টি পড়ে টাপুর টুপুর, নদে এল বান।\nক্ষেতের ধারে র‍্যাব-এর গাড়ি দাঁড়িয়ে আছে।"] * 4
TAMIL = ["மழை பெய்கிறது; க்ஷேமம் எல்லோருக்கும்.\nமழை பெய்தால் எல்லோருக்கும் மகிழ்ச்சி, மழை பெய்கிறது."] * 4
WORDS = st.lists(st.sampled_from([*BANGLA[0].split(), *TAMIL[0].split(), "\n", "x", "</s>", "12", "க்‌ஷ"])).map(" ".join)


def ids(tokenizer, text: str) -> list[int]:
    return encode_plain(tokenizer, text)["input_ids"]


def sentencepiece_bpe():
    """As Gemma's: no words, spaces as ▁, bytes for characters that it does not know, special tokens after them."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    known = ["<unk>", "<s>", "</s>", *(f"<0x{n:02X}>" for n in range(256))]
    letters = [word for text in (*BANGLA, *TAMIL) for word in text.split()]
    trainer = trainers.BpeTrainer(
        vocab_size=360,
        special_tokens=known,
        initial_alphabet=sorted({*"".join(letters), "▁", "\n"}),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["▁".join(BANGLA[0].split())], trainer)
    state = json.loads(tokenizer.to_str())
    state["added_tokens"] = [token for token in state["added_tokens"] if not token["content"].startswith("<0x")]
    tokenizer = Tokenizer.from_str(json.dumps(state))
    tokenizer.add_special_tokens([AddedToken("<turn>", special=True)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def with_tokens_after(kind: str):
    """Qwen2's and XGLM's added tokens stand after the vocabulary. Tamil's letters are known, no more of it."""
    letters = [" ".join(sorted({*"".join(TAMIL)}))] * 2
    tokenizer = train_tokenizer([*BANGLA, *letters], {"bytes": 320, "unigram": 120}[kind], kind)
    tokenizer.add_special_tokens({"extra_special_tokens": ["<|im_start|>", "<madeupword0>"]})
    return tokenizer


KINDS = {
    "bytes": lambda: with_tokens_after("bytes"),
    "unigram": lambda: with_tokens_after("unigram"),
    "sentencepiece": sentencepiece_bpe,
}


@pytest.fixture(scope="module", params=KINDS)
def grown(request):
    old = KINDS[request.param]()
    return request.param, old, *extend(old, TAMIL, 40)


def test_the_new_script_takes_fewer_tokens_and_the_old_one_the_same(grown):
    _, old, new, parts = grown
    assert 5 < len(parts) <= 40
    assert len(ids(new, TAMIL[0])) < 0.7 * len(ids(old, TAMIL[0]))
    assert ids(new, BANGLA[0]) == ids(old, BANGLA[0])


def test_every_old_token_keeps_its_id(grown):
    _, old, new, parts = grown
    vocabulary = new.get_vocab()
    assert vocabulary | old.get_vocab() == vocabulary
    assert new.all_special_ids == old.all_special_ids
    assert sorted(parts) == list(range(max(old.get_vocab().values()) + 1, max(parts) + 1))
    for token in old.all_special_tokens:
        assert new.convert_tokens_to_ids(token) == old.convert_tokens_to_ids(token)


def test_a_new_piece_stands_for_old_ones(grown):
    kind, old, new, parts = grown
    if kind == "unigram":  # it knows characters that were unknown
        assert all(parts.values())
        return
    for number, olds in parts.items():
        assert max(olds) < min(parts)
        piece = new.convert_ids_to_tokens(number)
        assert "".join(old.convert_ids_to_tokens(olds)) == piece
        assert "\n" not in piece
        assert "▁" not in piece[1:]


@settings(deadline=None)
@given(text=WORDS)
def test_what_is_written_is_read(text):
    for kind in ("bytes", "sentencepiece"):
        old, new = CACHE.setdefault(kind, (made := KINDS[kind](), extend(made, TAMIL, 40)[0]))
        assert new.decode(ids(new, text)) == old.decode(ids(old, text))


CACHE: dict = {}


def test_it_is_the_same_tokenizer_when_it_is_loaded(grown, tmp_path):
    _, _, new, _ = grown
    new.save_pretrained(tmp_path)
    assert ids(load_tokenizer(tmp_path), TAMIL[0]) == ids(new, TAMIL[0])


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_extended_alike_each_time(kind):
    old = KINDS[kind]()
    first, *others = (extend(old, TAMIL, 40)[0].backend_tokenizer.to_str() for _ in range(4))
    assert others == [first] * 3


def test_what_is_unknown_is_no_part_of_a_piece():
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.train_from_iterator(BANGLA, trainers.BpeTrainer(vocab_size=60, special_tokens=["<unk>"]))
    old = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")
    _, parts = extend(old, [*TAMIL, "xৃষ্টি xৃষ্টি"], 40)
    assert parts
    assert not any(old.unk_token_id in olds for olds in parts.values())


def test_a_bpe_with_prefixes_is_refused():
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    model = models.BPE({"a": 0, "##b": 1}, [], continuing_subword_prefix="##")
    with pytest.raises(InputError, match="a BPE with continuing_subword_prefix ##; allowed is one without"):
        extend(PreTrainedTokenizerFast(tokenizer_object=Tokenizer(model)), TAMIL, 4)


def test_an_adapter_on_a_head_with_a_bias_is_refused(masked_model):
    """peft would forget the bias."""
    with pytest.raises(InputError, match=r"the output layer has a bias.*allowed is tuning: full"):
        add_lora(masked_model("xlm-roberta"), LORA, 0, False, None, (80, 90))


def test_another_kind_of_tokenizer_is_refused():
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, "[UNK]")))
    with pytest.raises(InputError, match="a WordLevel tokenizer; allowed are BPE and Unigram"):
        extend(words, TAMIL, 4)


@pytest.mark.parametrize("tied", [True, False])
def test_new_rows_are_means_and_old_tokens_mean_what_they_meant(tiny, tied):
    model = tiny("llama", tie_word_embeddings=tied)
    rows = model.config.vocab_size
    tokens = torch.arange(3, 20)[None]
    with torch.no_grad():
        before = model(tokens).logits
        enlarge(model, {rows: [5, 6], rows + 1: [7]})
        after = model(tokens).logits
    for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
        assert torch.allclose(layer.weight[rows], layer.weight[[5, 6]].mean(0))
        assert torch.equal(layer.weight[rows + 1], layer.weight[7])
    assert model.config.vocab_size == after.shape[-1] == rows + 2
    assert torch.allclose(after[..., :rows], before, atol=1e-6)
    assert (model.get_input_embeddings().weight is model.get_output_embeddings().weight) == tied


def test_rows_to_spare_are_taken_first(tiny):
    model = tiny("llama")
    rows = model.config.vocab_size
    enlarge(model, {rows - 1: [5, 6]})
    assert model.config.vocab_size == rows


def test_the_bias_of_a_masked_model_grows_as_well(masked_model):
    model = masked_model("xlm-roberta")
    with torch.no_grad():
        model.lm_head.bias.copy_(torch.arange(90.0))
    enlarge(model, {90: [10, 20]})
    assert model.get_output_embeddings().bias[90].item() == 15.0
    assert model(torch.tensor([[5, 90]])).logits.shape[-1] == 91


@pytest.fixture
def bangla_model(shapes, tmp_path):
    def make(**changes):
        tokenizer = train_tokenizer(BANGLA, 320)
        folder = tmp_path / "bangla"
        save(initialise(shapes["llama"] | changes, tokenizer, 0), tokenizer, folder)
        write_json(folder / "meta.json", {"kind": "scratch", "digest": "d"})
        (tmp_path / "more").mkdir()
        return folder, tmp_path / "more"

    return make


def test_a_folder_from_a_folder(bangla_model):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base, folder = bangla_model()
    old, new = extend_model(base, TAMIL, 40, "AutoModelForCausalLM", folder)
    meta = read_json(folder / "meta.json")
    assert (meta["kind"], meta["base"]) == ("extended", "d")
    assert meta["added"] == [320, len(new)]
    assert base_of_model("more", [folder / "meta.json"])["added"] == meta["added"]
    assert AutoModelForCausalLM.from_pretrained(folder).config.vocab_size == len(new)
    assert ids(AutoTokenizer.from_pretrained(folder), TAMIL[0]) == ids(new, TAMIL[0])
    documents = ({"register": "classical", "text": text} for text in TAMIL)
    (row,) = tokens_per_byte({"base": old, "extended": new}, documents)
    assert row["base_tokens"] == 4 * len(ids(old, TAMIL[0]))
    assert row["extended_tokens_per_byte"] == row["extended_tokens"] / row["bytes"] < row["base_tokens_per_byte"]


def test_what_an_earlier_model_left_in_the_folder_goes_and_the_old_tokenizer_is_one(bangla_model):
    base, folder = bangla_model()
    for name in ("model-00001-of-00002.safetensors", "chat_template.jinja"):
        (folder / name).write_text("stale")
    old, new = extend_model(base, TAMIL, 40, "AutoModelForCausalLM", folder)
    assert ids(old, TAMIL[0]) == ids(load_tokenizer(base), TAMIL[0]) != ids(new, TAMIL[0])
    names = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert {path.name for path in folder.iterdir()} == names | {"meta.json"}


def test_nothing_to_add_is_said(bangla_model):
    base, folder = bangla_model()
    with pytest.raises(InputError, match="nothing to add"):
        extend_model(base, ["x"], 40, "AutoModelForCausalLM", folder)
    assert not (folder / "meta.json").exists()


@pytest.mark.parametrize("quantisation", ["nf4", "none"])
@pytest.mark.parametrize("tied", [True, False])
def test_an_adapter_trains_the_new_rows_and_carries_them(bangla_model, tmp_path, tied, quantisation):
    base, folder = bangla_model(tie_word_embeddings=tied)
    extend_model(base, TAMIL, 40, "AutoModelForCausalLM", folder)
    described = base_of_model("more", [folder / "meta.json"])
    first, end = described["added"]
    model = add_lora(load_base(described, quantisation), LORA, 0, False, "CAUSAL_LM", range(*described["added"]))
    trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
    rows = [name for name in trainable if "trainable_tokens_delta" in name]
    assert len(rows) == (1 if tied else 2)
    tokens = torch.tensor([*encode_documents(load_tokenizer(folder), TAMIL[:1])])
    before = model.get_input_embeddings()(torch.arange(end)).detach().clone()
    optimiser = torch.optim.AdamW(trainable.values(), lr=1e-2, weight_decay=0.0)
    for _ in range(2):
        model(tokens, labels=tokens).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    after = model.get_input_embeddings()(torch.arange(end)).detach()
    assert torch.equal(after[:first], before[:first])
    assert not torch.equal(after[first:], before[first:])
    model.save_pretrained(tmp_path / "run" / "adapter")
    write_json(tmp_path / "run" / "meta.json", {"identity": {"kind": "adapter"}})
    again = load_adapted(described, tmp_path / "run", quantisation)
    with torch.no_grad():
        assert torch.allclose(again(tokens).logits, model.eval()(tokens).logits, atol=1e-5)


@pytest.mark.parametrize("apart", [False, True], ids=["side by side", "apart"])
@pytest.mark.parametrize(
    ("shape", "changes"), [("llama", {"tie_word_embeddings": False}), ("llama", {}), ("gemma3", {}), ("xglm", {})]
)
def test_rows_beside_the_frozen_give_what_peft_s_copy_of_the_matrix_gives(tiny, monkeypatch, shape, changes, apart):
    import kalam.models.token_rows

    def outcome():
        model = tiny(shape, **changes)
        rows = model.config.vocab_size
        enlarge(model, {rows + row: [row, row + 1] for row in range(9)})
        model = add_lora(
            model, LORA, 0, False, "CAUSAL_LM", [3, rows + 1, rows + 6] if apart else range(rows + 1, rows + 7)
        )
        torch.manual_seed(0)
        for p in model.parameters():  # rows that have moved, and an adapter that does something
            if p.requires_grad:
                p.data += 0.1 * torch.randn_like(p)
        tokens = torch.tensor([[3, rows, rows + 1, 7, rows + 6, rows + 7, rows + 3], [rows + 2] * 7])
        output = model(tokens, labels=tokens)
        output.loss.backward()
        return output.logits.detach(), {name: p.grad for name, p in model.named_parameters() if p.requires_grad}

    logits, gradients = outcome()
    assert any("trainable_tokens_delta" in name for name in gradients)
    monkeypatch.setattr(kalam.models.token_rows, "beside_the_frozen", lambda model: model)
    expected_logits, expected = outcome()
    assert torch.allclose(logits, expected_logits, atol=1e-6)
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        assert gradient.abs().sum() > 0, name
        assert torch.allclose(gradient, expected[name], atol=1e-6), name


def test_rows_in_no_order_are_left_to_peft(tiny):
    from peft import LoraConfig, get_peft_model

    from kalam.models.token_rows import TrainedRows, beside_the_frozen

    def kinds(ids):
        config = LoraConfig(target_modules="all-linear", trainable_token_indices={"embed_tokens": ids})
        return {type(m) is TrainedRows for m in beside_the_frozen(get_peft_model(tiny(), config)).modules()}

    assert kinds([5, 6, 9]) == {True, False}
    assert kinds([7, 5]) == {False}
