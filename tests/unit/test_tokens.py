"""Tokenizers: marks stay with letters, nothing is lost, and the one that is loaded is the one that was trained."""

import json
import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kalam.files.errors import InputError
from kalam.text import tokens
from kalam.text.tokens import (
    FIRST_PIECES,
    PAD,
    PROBE,
    encode_documents,
    encode_ids,
    encode_places,
    encode_plain,
    encode_words,
    load_tokenizer,
    pieces,
    prefix_token,
    require_same_tokenizer,
    save_tokenizer,
    train_tokenizer,
)

ROOT = Path(__file__).resolve().parents[2]

# Letters with marks: conjuncts, nukta, chandrabindu, visarga, ZWJ and ZWNJ, Tamil vowel signs, tashkeel.
WORDS = [
    "বৃষ্টি",
    "ক্ষেত্র",
    "পড়ে",
    "গাড়ি",
    "চাঁদ",
    "দুঃখ",
    "র‍্যাব",
    "হক্‌চকিয়ে",
    "மழை",
    "க்ஷேமம்",
    "கொடுத்தான்",
    "كِتَابٌ",
    "مُحَمَّدٌ",
    "می‌روم",
]
TEXT = st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("বৃষ্টি়‍‌মழைகொதِّ ٌ\n\t<s>/'1")))


def cuts(tokenizer, text: str) -> list[int]:
    return [begin for _, (begin, _) in tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str(text)]


def ids(tokenizer, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False)["input_ids"]


@pytest.fixture
def folder(tokenizer, tmp_path):
    """A Qwen2 folder with the trained tokenizer."""
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "qwen2"}')
    return tmp_path


@pytest.mark.parametrize("word", WORDS)
def test_no_mark_is_cut_from_its_letter(tokenizer, word):
    text = f"১২ {word}, {word}।"
    beginnings = [unicodedata.category(text[begin])[0] for begin in cuts(tokenizer, text)]
    assert "M" not in beginnings
    assert len(beginnings) > 3  # it does cut


@pytest.mark.parametrize("word", ["বৃষ্টি", "মেঘলা", "பெய்கிறது", "كِتَابٌ"])
def test_a_frequent_word_becomes_one_token_marks_and_all(word):
    trained = train_tokenizer([word] * 50, 300)
    assert len(ids(trained, word)) == 1


@pytest.mark.parametrize("vocabulary", [260, 300, 340])
def test_the_vocabulary_has_the_size_asked_for(texts, vocabulary):
    assert len(train_tokenizer(texts * 4, vocabulary)) == vocabulary


def test_the_vocabulary_is_smaller_where_the_text_has_no_more_merges():
    assert len(train_tokenizer(["কক"], 5000)) < 270


def test_equal_texts_train_equal_tokenizers(texts):
    first, second = (train_tokenizer(texts, 320).backend_tokenizer.to_str() for _ in range(2))
    assert first == second


@settings(max_examples=300, deadline=None)
@given(text=TEXT)
@example(text=PROBE)
@example(text="<s> ১ </s> <pad>")
@example(text=" \r\n  x\u00a0")
def test_nothing_is_lost(tokenizer, text):
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    assert tokenizer.decode(encoded["input_ids"], clean_up_tokenization_spaces=False) == text
    covered = {place for begin, end in encoded["offset_mapping"] for place in range(begin, end)}
    assert covered == set(range(len(text)))


def test_documents_stand_between_bos_and_eos(tokenizer):
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    texts = ["বৃষ্টি", "மழை பெய்கிறது"]
    assert [*encode_documents(tokenizer, texts)] == [[bos, *ids(tokenizer, text), eos] for text in texts]
    assert not {bos, eos} & set(ids(tokenizer, texts[0]))


def test_the_prefix_is_bos_else_eos_else_an_error(folder):
    tokenizer = load_tokenizer(folder)
    assert prefix_token(tokenizer) == tokenizer.bos_token_id
    tokenizer.bos_token = None
    assert prefix_token(tokenizer) == tokenizer.eos_token_id
    assert next(encode_documents(tokenizer, ["x"]))[0] == tokenizer.eos_token_id
    tokenizer.eos_token = None
    with pytest.raises(InputError, match="BOS or an EOS"):
        prefix_token(tokenizer)


def test_a_saved_tokenizer_comes_back_as_it_was(tokenizer, folder):
    loaded = load_tokenizer(folder)
    for text in (PROBE, *WORDS):
        assert ids(loaded, text) == ids(tokenizer, text)
        assert loaded(text)["input_ids"] == [tokenizer.bos_token_id, *ids(tokenizer, text)]
    assert (loaded.bos_token_id, loaded.eos_token_id, loaded.pad_token_id) == (0, 1, 2)
    assert loaded.unk_token_id is None


COPY = """
import sys
from kalam.text.tokens import load_tokenizer, save_tokenizer
save_tokenizer(load_tokenizer(sys.argv[1]), sys.argv[2])
"""


def test_where_it_was_saved_does_not_count(tokenizer, tmp_path):
    """With the hub and, as here, without: transformers remembers in a tokenizer's settings how it was found."""
    from huggingface_hub.constants import HF_HUB_OFFLINE

    save_tokenizer(tokenizer, tmp_path / "made")
    save_tokenizer(load_tokenizer(tmp_path / "made"), tmp_path / "here")
    elsewhere = os.environ | {"HF_HUB_OFFLINE": str(int(not HF_HUB_OFFLINE))}
    command = [sys.executable, "-c", COPY, str(tmp_path / "made"), str(tmp_path / "elsewhere")]
    subprocess.run(command, cwd=ROOT, env=elsewhere, check=True, capture_output=True)
    names = ("made", "here", "elsewhere")
    made, here, there = ({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in names)
    assert made == here == there
    assert made.keys() == {"tokenizer.json", "tokenizer_config.json"}
    assert load_tokenizer(tmp_path / "made").init_kwargs["is_local"]  # as it would have been written


def test_in_a_qwen2_folder_the_library_gives_other_tokens_and_we_do_not(tokenizer, folder, texts):
    from transformers import AutoTokenizer

    text = " ".join(texts)
    theirs, ours = AutoTokenizer.from_pretrained(folder), load_tokenizer(folder)
    assert ids(ours, text) == ids(tokenizer, text)
    assert len(ids(theirs, text)) > len(ids(tokenizer, text))
    assert any(unicodedata.category(text[begin])[0] == "M" for begin in cuts(theirs, text))


@pytest.mark.parametrize("model_type", ["llama", "gemma3_text", "xglm"])
def test_architectures_that_are_exported_give_everybody_the_trained_tokens(tokenizer, folder, texts, model_type):
    from transformers import AutoTokenizer

    (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    text = " ".join(texts)
    assert ids(AutoTokenizer.from_pretrained(folder), text) == ids(tokenizer, text)


def test_another_pre_tokeniser_is_refused(tokenizer, folder, monkeypatch):
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    theirs = AutoTokenizer.from_pretrained(folder)
    with pytest.raises(InputError, match="pre-tokeniser"):
        require_same_tokenizer(theirs.backend_tokenizer, tokenizer.backend_tokenizer, folder)
    monkeypatch.setattr(PreTrainedTokenizerFast, "from_pretrained", lambda _, **__: theirs)
    with pytest.raises(InputError, match=r"tokenizer\.json: the loaded tokenizer has another pre-tokeniser"):
        load_tokenizer(folder)


def test_other_ids_are_refused(tokenizer, texts):
    other = train_tokenizer(texts[2:3] * 4, 300)
    with pytest.raises(InputError, match="other ids"):
        require_same_tokenizer(other.backend_tokenizer, tokenizer.backend_tokenizer, "tokenizer.json")
    require_same_tokenizer(other.backend_tokenizer, other.backend_tokenizer, "tokenizer.json")


def test_a_folder_without_tokenizer_json_is_converted(texts, tmp_path):
    from transformers import GPT2Tokenizer

    GPT2Tokenizer(vocab={PAD: 0, "a": 1, "b": 2, "ab": 3, "<|endoftext|>": 4}, merges=[("a", "b")]).save_pretrained(
        tmp_path
    )
    saved = json.loads((tmp_path / "tokenizer.json").read_text())
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "vocab.json").write_text(json.dumps(saved["model"]["vocab"]))
    (tmp_path / "merges.txt").write_text("#version: 0.2\na b\n")
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    assert ids(load_tokenizer(tmp_path), "ab") == [3]


def test_a_special_token_that_somebody_wrote_is_text(tokenizer):
    (document,) = encode_documents(tokenizer, ["পদ্য </s> গদ্য <s>"])
    inside = document[1:-1]
    assert not set(inside) & {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id}
    assert tokenizer.decode(inside) == "পদ্য </s> গদ্য <s>"


@pytest.mark.parametrize("kind", FIRST_PIECES)
def test_the_ids_of_special_tokens_are_known_before(texts, kind):
    trained = train_tokenizer(texts, 300, kind)
    assert trained.convert_ids_to_tokens(range(len(FIRST_PIECES[kind]))) == list(FIRST_PIECES[kind])
    assert trained.pad_token_id == FIRST_PIECES[kind].index(PAD)


def test_a_slow_tokenizer_without_a_backend_gives_documents_too():
    from transformers import ByT5Tokenizer

    slow = ByT5Tokenizer()
    assert not slow.is_fast
    assert [*encode_documents(slow, ["ab", "c </s>"])] == [
        [1, *encode_plain(slow, text)["input_ids"], 1] for text in ("ab", "c </s>")
    ]


def test_documents_are_those_of_the_library_whatever_was_set_before(tokenizer, unigram, texts):
    for some in (tokenizer, unigram):
        written = [*texts, "</s> ১ <s><pad>", "", "x" * 3000]
        some.backend_tokenizer.enable_truncation(3)
        some.backend_tokenizer.enable_padding(length=50)
        some.backend_tokenizer.encode_special_tokens = False
        found = [*encode_documents(some, written)]
        around = some.bos_token_id, some.eos_token_id
        assert found == [[around[0], *ids, around[1]] for ids in encode_plain(some, written)["input_ids"]]


def test_texts_are_encoded_as_they_come(tokenizer, unigram):
    """What was read and not yet given is never more than a batch."""
    text, read = "বৃষ্টি পড়ে " * 5000, []
    assert len(text) * 5 > tokens.BATCH
    for encode, some in ((encode_documents, tokenizer), (encode_words, unigram)):
        read.clear()
        given = 0
        for _ in encode(some, (read.append(1) or text for _ in range(20))):
            given += 1
            assert len(read) - given < 5
        assert given == len(read) == 20


def test_words_begin_where_the_pre_tokeniser_cuts(unigram, texts):
    for text, (ids, starts) in zip(texts, encode_words(unigram, texts), strict=True):
        words = encode_plain(unigram, text).word_ids()
        assert starts == [True, *[i == 0 or words[i] != words[i - 1] for i in range(len(words))], True]
        assert len(ids) == len(starts)


def in_pieces(some, text: str) -> int:
    """How many pieces a text is encoded in; the tokens are those of the whole."""
    whole = encode_plain(some, text, return_offsets_mapping=True)
    words = whole.word_ids()
    places = zip(whole["input_ids"], (first for first, _ in whole["offset_mapping"]), strict=True)
    assert encode_ids(some, text) == whole["input_ids"]
    assert [*encode_places(some, text)] == [*places]
    ((ids, starts),) = encode_words(some, [text])
    assert [ids] == [*encode_documents(some, [text])] == [[some.bos_token_id, *whole["input_ids"], some.eos_token_id]]
    assert starts == [True, *[word != last for last, word in zip([None, *words], words, strict=False)], True]
    found = [*pieces(some, text)]
    assert "".join(piece for _, piece in found) == text
    assert all(text.startswith(piece, begin) for begin, piece in found)
    return len(found)


@pytest.mark.parametrize("between", [" ", "\n", "\n\n", " \n  ", ", "])
def test_a_long_text_is_encoded_in_pieces_with_the_tokens_of_the_whole(tokenizer, unigram, between, monkeypatch):
    monkeypatch.setattr(tokens, "BATCH", 150)
    monkeypatch.setattr(tokens, "AROUND", 40)
    text = between.join(WORDS * 6)
    assert in_pieces(tokenizer, text) > 3
    assert in_pieces(unigram, text) > 3
    assert in_pieces(tokenizer, "ক" * 400) == in_pieces(unigram, "ক" * 400) == 1  # nowhere between two words


@settings(max_examples=40, deadline=None)
@given(text=TEXT)
def test_any_long_text_keeps_its_tokens(tokenizer, unigram, text):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tokens, "BATCH", 150)
        patched.setattr(tokens, "AROUND", 60)
        long = f"{text} পড়ে\nচাঁদ {text}" * 12
        for some in (tokenizer, unigram):
            in_pieces(some, long)


@pytest.mark.parametrize("kind", ["bytes", "unigram"])
def test_a_tokenizer_is_trained_alike_each_time(texts, kind):
    first, *others = (train_tokenizer(texts * 4, 300, kind).backend_tokenizer.to_str() for _ in range(4))
    assert others == [first] * 3
