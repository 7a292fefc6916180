"""Log-likelihood of documents: against plain references, and unmoved by batches, padding and order."""

import html
import math
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kalam.evaluation.bits import measure
from kalam.evaluation.continuations import LENGTH, continue_text, openings, page
from kalam.evaluation.perplexity import byte_starts, encode, score, windows
from kalam.files.errors import InputError

SHAPES = ["llama", "qwen2", "gemma3", "xglm"]
# Sums of the same fp32 terms differ by 3e-9 between shapes of batch.
SAME = {"rel": 1e-7}


def named(texts) -> list[dict]:
    return [{"id": f"d{n}", "group": f"g{n}", "register": "verse", "text": text} for n, text in enumerate(texts)]


def nlls(model, tokenizer, texts, context=4096, stride=4096, batch=1) -> list[float]:
    return [row["nll"] for row in score(model, tokenizer, named(texts), context, stride, batch)]


def log_probabilities(model, ids: list[int]):
    """ln p of each token of ids after the first, given all before it."""
    import torch

    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, :-1].double()
    return logits.log_softmax(-1)[range(len(ids) - 1), ids[1:]]


@st.composite
def cut_texts(draw):
    """Bytes at which tokens begin (several of one character at the same one), a context and a stride."""
    lengths = draw(st.lists(st.integers(0, 7), max_size=40))
    starts = [sum(lengths[:n]) for n in range(len(lengths))]
    context = draw(st.integers(1, 30))
    return starts, context, draw(st.integers(1, context))


@given(cut_texts())
def test_each_token_is_scored_once_and_in_order(case):
    starts, context, stride = case
    tokens = [100 + n for n in range(len(starts))]
    found = list(windows(7, tokens, starts, 1, context, stride))
    assert [token for window in found for token in window.tokens[len(window.tokens) - window.scored :]] == tokens
    for window in found:
        assert (window.document, window.tokens[0]) == (7, 1)
        assert all(b - a == 1 for a, b in pairwise(window.tokens[1:]))
        assert 0 < window.scored < len(window.tokens)


@given(cut_texts())
def test_a_scored_token_looks_back_on_a_context_less_a_stride_at_least_and_on_a_context_at_most(case):
    starts, context, stride = case
    tokens = list(range(len(starts)))
    for window in windows(0, tokens, starts, -1, context, stride):
        first = window.tokens[1]
        cut = starts[first] - starts[first - 1] - 1 if first else 0  # most that can be left of a token cut there
        for token in window.tokens[-window.scored :]:
            back = starts[token] - starts[first]
            assert first == 0 or back >= context - stride - cut
            assert back < context


@pytest.mark.parametrize(("context", "stride"), [(8, 9), (8, 0)])
def test_a_stride_that_leaves_tokens_out_is_refused(context, stride):
    with pytest.raises(InputError, match=f"evaluation.stride: {stride}, allowed are 1 to the context, 8"):
        list(windows(0, [1], [0], 0, context, stride))


def test_tokens_begin_at_bytes_of_the_text(tokenizer):
    text = "আ x র‍্যাব"
    ids, starts, failure = encode(tokenizer, text)
    assert failure is None
    assert byte_starts(text, [0, 1, 2, 4]) == [0, 3, 4, 6]
    assert starts == sorted(starts)
    assert (len(starts), starts[0]) == (len(ids), 0)


@pytest.mark.parametrize("shape", ["llama", "xglm"])
def test_a_uniform_model_pays_the_logarithm_of_its_vocabulary_for_each_token(tiny, tokenizer, texts, shape):
    model = tiny(shape, tie_word_embeddings=False)
    model.lm_head.weight.data.zero_()
    rows = list(score(model, tokenizer, named(texts), 40, 20, 4))
    tokens, size = sum(row["tokens"] for row in rows), sum(len(text.encode()) for text in texts)
    assert tokens == sum(len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts)
    assert measure(rows, "bits_per_byte") == pytest.approx(math.log2(len(tokenizer)) * tokens / size, rel=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_with_room_for_the_document_it_is_the_whole_likelihood(tiny, tokenizer, texts, shape):
    model = tiny(shape)
    for text, nll in zip(texts, nlls(model, tokenizer, texts), strict=True):
        ids = [tokenizer.bos_token_id, *tokenizer(text, add_special_tokens=False)["input_ids"]]
        assert nll == pytest.approx(-float(log_probabilities(model, ids).sum()), rel=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("context", "stride"), [(40, 40), (40, 13), (24, 1)])
def test_windows_give_what_each_token_s_own_window_gives(tiny, tokenizer, texts, shape, context, stride):
    model, text = tiny(shape), texts[1]
    ids, starts, _ = encode(tokenizer, text)
    expected = 0.0
    for at, start in enumerate(starts):
        begin = next(b for b in range(0, len(text.encode()), stride) if start < b + context)
        seen = [token for token, s in zip(ids[: at + 1], starts, strict=False) if s >= begin]
        expected -= float(log_probabilities(model, [tokenizer.bos_token_id, *seen])[-1])
    assert nlls(model, tokenizer, [text], context, stride, 3) == [pytest.approx(expected, rel=1e-6)]
    whole = nlls(model, tokenizer, [text])[0]
    assert abs(expected - whole) > 1e-4  # a short context shows


@pytest.mark.parametrize("shape", SHAPES)
def test_neither_batch_nor_padding_nor_order_counts(tiny, tokenizer, texts, shape):
    model = tiny(shape)
    texts = [*texts, "".join(texts)]
    alone = [nlls(model, tokenizer, [text], 64, 40)[0] for text in texts]
    assert len(set(alone)) == 6
    for batch in (1, 3, 64):
        together = nlls(model, tokenizer, texts, 64, 40, batch)
        assert together == pytest.approx(alone, **SAME)
        assert nlls(model, tokenizer, texts[::-1], 64, 40, batch)[::-1] == together  # bit by bit


def test_a_row_says_what_was_scored(tiny, tokenizer):
    text = "নদে এল বান।"
    (row,) = score(tiny(), tokenizer, [{"id": "x", "group": "ছড়া", "register": "verse", "text": text}], 64, 32, 1)
    assert row.pop("nll") > 0
    tokens = len(tokenizer(text, add_special_tokens=False)["input_ids"])
    sizes = {"bytes": 29, "characters": 11, "words": 3, "tokens": tokens}
    assert row == {"id": "x", "group": "ছড়া", "part": "verse", **sizes, "failure": None}


@pytest.fixture
def changed(tokenizer, tmp_path):
    """The tokenizer with a normaliser, or with a vocabulary that knows two words."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    def make(what: str) -> PreTrainedTokenizerFast:
        if what == "lossy tokenizer":
            backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
            backend.normalizer = normalizers.Lowercase()
            return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>")
        backend = Tokenizer(models.WordLevel({"<unk>": 0, "<s>": 1, "abc": 2}, unk_token="<unk>"))
        backend.pre_tokenizer = pre_tokenizers.Whitespace()
        return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", unk_token="<unk>")

    return make


@pytest.mark.parametrize("what", ["lossy tokenizer", "unknown token"])
def test_a_text_that_the_tokenizer_does_not_keep_is_a_failure_and_no_figure(tiny, changed, what):
    rows = list(score(tiny(), changed(what), named(["abc", "Abc", "abc"]), 64, 32, 2))
    assert [row["failure"] for row in rows] == [None, what, None]
    assert rows[1]["nll"] is None
    assert rows[0]["nll"] == rows[2]["nll"] > 0
    assert measure(rows, "bits_per_byte") == math.inf


def test_more_tokens_than_positions_are_refused(tiny, tokenizer, texts):
    model = tiny(max_position_embeddings=20)
    with pytest.raises(
        InputError, match=r"evaluation\.context: 4096 bytes are up to \d+ tokens here, the model has 20"
    ):
        nlls(model, tokenizer, ["ஔ" * 50])
    assert nlls(model, tokenizer, ["ஔ" * 50], context=18, stride=9)[0] > 0


VERSE = "বৃষ্টি পড়ে টাপুর টুপুর\nনদে এল বান\nশিব ঠাকুরের বিয়ে হল\nতিন কন্যে দান\nএক কন্যে রাঁধেন বাড়েন\nএক কন্যে খান"


def test_openings_are_a_quarter_of_the_lines_or_of_the_words_and_the_same_in_any_order(texts):
    documents = named([VERSE, *texts])
    found = openings(documents, 6)
    assert openings(documents[::-1], 6) == found
    assert openings(documents, 2) == found[:2]
    assert sorted(opening + rest for opening, rest in found) == sorted(d["text"] for d in documents)
    by_lines = next(opening for opening, _ in found if VERSE.startswith(opening))
    assert by_lines == "বৃষ্টি পড়ে টাপুর টুপুর\nনদে এল বান"
    assert texts[0].rsplit(" ", 5)[0] in {opening for opening, _ in found}  # 2 words of 7


def test_the_page_has_what_each_model_makes_of_the_openings(tiny, tokenizer, texts):
    models, loaded = {"base": tiny(), "adapted": tiny(seed=1)}, []

    def load(role: str):
        loaded.append(role)
        return models[role]

    evil = "<script>alert('র\u200d্যাব')</script> & বান এল নদে আজ"
    documents = {"train": named(["never shown"]), "test": named([evil, *texts])}
    written = page(
        "bangla: <adapt>",
        "bn",
        {role: lambda role=role: load(role) for role in models},
        tokenizer,
        documents,
        6,
        5,
    )
    assert loaded == ["base", "adapted"]  # each once
    assert "<script>" not in written
    assert "&lt;script&gt;" in written
    assert "<title>bangla: &lt;adapt&gt;</title>" in written
    assert "never shown" not in written
    sections = written.split("<section>")[1:]
    assert len(sections) == 6
    for number, ((opening, rest), section) in enumerate(zip(openings(documents["test"], 6), sections, strict=True)):
        shown = re.findall(
            r'<h2 dir="ltr" lang="en">(\w+)</h2><div class="text"><b>(.*?)</b>(.*?)</div>', section, re.S
        )
        told = [continue_text(models[role], tokenizer, opening, len(rest[:LENGTH]), 5 + number) for role in models]
        assert [(name, html.unescape(before), html.unescape(after)) for name, before, after in shown] == [
            ("base", opening, told[0]),
            ("adapted", opening, told[1]),
            ("author", opening, rest[:LENGTH]),
        ]
        assert told[0] != told[1]
