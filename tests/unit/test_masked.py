"""Masked modelling: what is hidden, that packed documents stay apart, and what is measured."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kalam.evaluation import hidden_tokens as evaluation
from kalam.evaluation.fillings import GUESSES, gaps, guess, page, render
from kalam.files.errors import InputError
from kalam.files.jsonl import read_jsonl, write_json, write_jsonl
from kalam.models.positions import first_position
from kalam.tasks.masked import Task
from kalam.text.tokens import IGNORED, encode_documents, encode_words
from kalam.training.checkpoints import CheckpointFolder
from kalam.training.loop import train
from kalam.training.packing import PackedWindows, TokenStream
from kalam.training.probes import LEAKAGE, leakage
from kalam.training.recipe import Recipe
from kalam.training.sharding import Learner

VOCABULARY, MASK, SPECIAL = 90, 4, [0, 1, 2, 3, 4]


class Letters:
    """As much of a tokenizer as the task asks for."""

    pad_token_id, mask_token_id, unk_token_id, all_special_ids, name_or_path = 1, MASK, 3, SPECIAL, "letters"

    def __len__(self):
        return VOCABULARY


def window(size: int, seed: int = 0, **more) -> dict[str, np.ndarray]:
    ids = np.random.default_rng(seed).integers(5, VOCABULARY, size)
    places = {"position_ids": np.arange(size), "document": np.zeros(size, dtype=np.int64)}
    return {"input_ids": ids, **places, **more}


@given(size=st.integers(1, 80), draw=st.tuples(st.integers(0, 9), st.integers(0, 1), st.integers(0, 99)))
def test_labels_are_what_was_hidden_and_nothing_else_is_touched(size, draw):
    plain = window(size)
    hidden = Task(Letters()).hide(plain, draw)
    labelled = hidden["labels"] != IGNORED
    assert labelled.any()
    assert np.array_equal(hidden["labels"][labelled], plain["input_ids"][labelled])
    assert np.array_equal(hidden["input_ids"][~labelled], plain["input_ids"][~labelled])
    again = Task(Letters()).hide(plain, draw)
    assert all(np.array_equal(hidden[key], again[key]) for key in hidden)


@given(size=st.integers(2, 60), seed=st.integers(0, 99))
def test_special_tokens_and_padding_are_never_hidden(size, seed):
    plain = window(size)
    plain["input_ids"][::2] = 2
    plain["document"][size // 2 :] = -1
    labelled = Task(Letters(), share=1.0).hide(plain, (seed,))["labels"] != IGNORED
    assert np.array_equal(labelled, (plain["input_ids"] > 4) & (plain["document"] >= 0))


def test_of_the_chosen_tokens_most_are_masked_some_replaced_some_kept():
    plain = window(60_000)
    hidden = Task(Letters()).hide(plain, (1, 2, 3))
    labelled = hidden["labels"] != IGNORED
    assert labelled.mean() == pytest.approx(0.15, abs=0.01)
    now, before = hidden["input_ids"][labelled], plain["input_ids"][labelled]
    assert (now == MASK).mean() == pytest.approx(0.8, abs=0.02)
    assert ((now != MASK) & (now != before)).mean() == pytest.approx(0.1, abs=0.02)
    assert now[now != MASK].min() > 4


@given(words=st.lists(st.integers(1, 5), min_size=1, max_size=30), seed=st.integers(0, 99))
def test_whole_words_are_hidden_whole(words, seed):
    starts = np.concatenate([[1] + [0] * (length - 1) for length in words])
    hidden = Task(Letters(), whole_words=True).hide(window(len(starts), word_starts=starts), (seed,))
    labelled = hidden["labels"] != IGNORED
    word = np.cumsum(starts)
    assert labelled.any()
    assert all(len(set(labelled[word == number])) == 1 for number in word)


def test_a_tokenizer_without_a_mask_is_refused(tokenizer):
    with pytest.raises(InputError, match="a masked task needs a tokenizer with a mask token"):
        Task(tokenizer)


def test_word_starts_are_the_tokenizer_s(unigram, texts):
    documents, starts = zip(*encode_words(unigram, texts), strict=True)
    assert [*documents] == [*encode_documents(unigram, texts)]
    for ids, begins, text in zip(documents, starts, texts, strict=True):
        tokens = unigram.convert_ids_to_tokens(ids)
        assert begins == [t.startswith("▁") or t in ("<s>", "</s>") for t in tokens]
        assert sum(begins) == len(text.split()) + 2


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(5, 80), max_size=20), min_size=1, max_size=6), st.integers(1, 9))
def test_every_token_is_in_one_window(documents, context):
    stream = TokenStream.of(documents, word_starts=[[True] * len(d) for d in documents])
    windows = PackedWindows(stream, context, pad=1, lookahead=0)
    inside = [windows[i]["input_ids"][windows[i]["document"] >= 0] for i in range(len(windows))]
    tokens = [token for document in documents for token in document]
    inside = np.concatenate(inside).tolist()
    assert inside == tokens[: len(inside)]
    assert len(inside) >= len(tokens) - 1  # the very last is an end of document, which is never hidden
    assert list(windows)[-1]["input_ids"].tolist() == windows[len(windows) - 1]["input_ids"].tolist()


MASKED = ["xlm-roberta", "bert", "modernbert"]


@pytest.mark.parametrize("shape", MASKED)
def test_packed_documents_give_the_logits_of_separate_ones(masked_model, shape):
    model, generator = masked_model(shape), np.random.default_rng(3)
    documents = [generator.integers(5, VOCABULARY, length).tolist() for length in (5, 20, 1, 30)]
    stream = TokenStream.of(documents, word_starts=[[True] * len(d) for d in documents])
    task = Task(Letters())
    batch = task.collate([task.examples(stream, 64)[0]] * 2, [(1,), (2,)])
    ids = batch["input_ids"][1]
    with torch.no_grad():
        together = task.logits(model, batch)[1]
        begin = 0
        for length in map(len, documents):
            apart = model(input_ids=ids[None, begin : begin + length]).logits[0]
            assert (together[begin : begin + length] - apart).abs().max() < 1e-5
            assert length == 1 or apart.std() > 0.01
            begin += length


@pytest.mark.parametrize("shape", MASKED)
def test_the_probe_finds_no_leak(masked_model, shape):
    assert leakage(masked_model(shape).train(), Task(Letters())) < LEAKAGE


def test_positions_begin_after_the_padding_s_where_the_model_has_it_so(masked_model):
    assert [first_position(masked_model(shape)) for shape in MASKED] == [2, 0, 0]


def test_neither_the_micro_batch_nor_a_resumption_changes_what_is_hidden(masked_model, tmp_path):
    documents = [window(40, seed)["input_ids"].tolist() for seed in range(8)]
    windows = Task(Letters()).examples(TokenStream.of(documents), 16)
    recipe = {"seed": 1, "steps": 6, "learning_rate": 1e-2, "batch": 4, "evaluate_every": 2, "save_every": 2}

    def losses(folder, steps=6, **changes):
        store = CheckpointFolder(tmp_path / folder)
        given = Recipe(**recipe | changes | {"schedule": "constant", "steps": steps})
        model = masked_model()
        train(Learner(model, "fp32"), Task(Letters()), windows, windows, given, store)
        return [row.get("loss", row.get("validation_loss")) for row in read_jsonl(store.history)], model.state_dict()

    whole, weights = losses("whole", micro_batch=4)
    assert losses("small", micro_batch=1)[0] == pytest.approx(whole, abs=1e-5)
    losses("cut", steps=4, micro_batch=4)
    resumed, again = losses("cut", micro_batch=4)
    assert all(torch.equal(value, weights[name]) for name, value in again.items())
    assert [loss for loss in whole if loss not in resumed] == []


# --- what is measured

DOCUMENTS = [
    {"id": "a", "group": "g", "register": "modern", "text": "மழை பெய்கிறது; க்ஷேமம் எல்லோருக்கும்."},
    {"id": "b", "group": "g", "register": "modern", "text": "বৃষ্টি পড়ে টাপুর টুপুর, নদে এল বান।"},
    {"id": "c", "group": "h", "register": "modern", "text": "மழை"},
]


@pytest.mark.parametrize("parts", [1, 3, 7])
@pytest.mark.parametrize("context", [4, 9, 64])
@pytest.mark.parametrize("draw", [1, 2])
def test_every_token_is_hidden_once_in_a_draw(unigram, parts, context, draw):
    for document in DOCUMENTS:
        ids = unigram(document["text"], add_special_tokens=False)["input_ids"]
        hidden = []
        for one in evaluation.hidden_windows(unigram, document, 0, context, parts, 3, draw):
            assert len(one.tokens) <= context
            assert len(one.places)
            hidden += [one.tokens[place] for place in one.places]
        assert sorted(hidden) == sorted(ids)


def test_neither_the_batch_nor_the_order_changes_a_figure(unigram, masked_model):
    model = masked_model(vocabulary=len(unigram))
    settings = {"context": 12, "share": 0.2, "seed": 1}
    rows = list(evaluation.score(model, unigram, DOCUMENTS, batch=1, **settings))
    turned = list(evaluation.score(model, unigram, DOCUMENTS[::-1], batch=5, **settings))[::-1]
    for one, other in zip(rows, turned, strict=True):
        assert one["nll"] == pytest.approx(other.pop("nll"), rel=1e-5)
        assert other.items() <= one.items()
    assert [(row["id"], row["group"], row["part"]) for row in rows] == [
        ("a", "g", "modern"),
        ("b", "g", "modern"),
        ("c", "h", "modern"),
    ]
    assert rows != list(evaluation.score(model, unigram, DOCUMENTS, batch=1, **settings | {"seed": 2}))


def test_each_draw_hides_other_tokens_together_and_has_rows_of_its_own(unigram, masked_model):
    model = masked_model(vocabulary=len(unigram))
    settings = {"context": 12, "share": 0.2, "seed": 1, "batch": 3}
    alone = list(evaluation.score(model, unigram, DOCUMENTS[:1], **settings))
    rows = list(evaluation.score(model, unigram, DOCUMENTS, **settings, draws=3))
    assert [(row["id"], row["draw"]) for row in rows] == [(name, draw) for name in "abc" for draw in (1, 2, 3)]
    assert rows[0] == alone[0] | {"nll": pytest.approx(alone[0]["nll"], rel=1e-5)}
    assert len({row["tokens"] for row in rows[:3]}) == 1
    assert len({row["nll"] for row in rows[:3]}) == 3


@pytest.mark.parametrize(("context", "passes"), [(16, 1), (2048, 3)])
def test_short_windows_share_a_pass(unigram, masked_model, monkeypatch, context, passes):
    sizes = []
    monkeypatch.setattr(
        evaluation, "_predict", lambda model, tokenizer, some: sizes.append(len(some)) or _nothing(some)
    )
    list(evaluation.score(masked_model(vocabulary=len(unigram)), unigram, DOCUMENTS[:1], context, 0.2, 1, 2))
    assert len(sizes) == passes and (passes == 1 or max(sizes) == 2)


def _nothing(some):
    return [[0.0] * len(one.places) for one in some], [0] * len(some)


def test_a_uniform_model_has_the_loss_of_its_vocabulary(unigram, masked_model):
    model = masked_model(vocabulary=len(unigram))
    with torch.no_grad():
        for weight in model.get_output_embeddings().parameters():
            weight.zero_()
    for row in evaluation.score(model, unigram, DOCUMENTS, context=16, share=0.15, seed=0, batch=4):
        assert row["nll"] == pytest.approx(row["tokens"] * math.log(len(unigram)), rel=1e-5)


def test_the_floor_counts(unigram):
    floor = evaluation.CountingFloor(unigram, [DOCUMENTS[0]["text"]] * 3)
    assert np.exp(-floor.nll).sum() == pytest.approx(1)
    ids = unigram(DOCUMENTS[0]["text"], add_special_tokens=False)["input_ids"]
    (row,) = floor.score(DOCUMENTS[:1])
    total = 3 * len(ids) + len(unigram)
    assert row["nll"] == pytest.approx(sum(-math.log((3 * ids.count(token) + 1) / total) for token in ids))
    assert row["tokens"] == len(ids)
    name, share = floor.best(1)[0]
    best = unigram.convert_tokens_to_ids(name)
    assert share == pytest.approx((3 * ids.count(best) + 1) / total)
    assert row["correct"] == ids.count(best)
    with pytest.raises(InputError, match="a floor needs training text"):
        evaluation.CountingFloor(unigram, [])


def test_gaps_hide_one_token_and_their_page_is_escaped(unigram, masked_model):
    found = gaps(unigram, DOCUMENTS, 2, context=64)
    assert len(found) == 2
    for gap in found:
        (text,) = [d["text"] for d in DOCUMENTS if d["text"] == gap.before + gap.truth + gap.after]
        assert any(letter.isalpha() for letter in gap.truth)
        assert text in unigram.decode(gap.ids, skip_special_tokens=True) or "<unk>" in unigram.decode(gap.ids)
    guesses = guess(masked_model(vocabulary=len(unigram)), unigram, found[0])
    assert sum(share for _, share in guesses) < 1
    evil = found[0]._replace(before="<script>", after="&")
    written = render("t", "ta", [(evil, {"floor": [("<b>", 0.5)], "trained": guesses})])
    assert "<script>" not in written
    assert "&lt;script&gt;" in written
    assert "&lt;b&gt;" in written


def test_the_page_has_what_the_floor_and_each_model_would_fill_in(unigram, masked_model):
    models, loaded = {"base": masked_model(vocabulary=len(unigram)), "adapted": masked_model("bert", len(unigram))}, []

    def load(role: str):
        loaded.append(role)
        return models[role]

    rows = {"test": DOCUMENTS, "train": [{**DOCUMENTS[2], "text": "மழை மழை"}]}
    loaders = {role: lambda role=role: load(role) for role in models}
    written = page("tamil: <mlm>", "ta", loaders, unigram, rows, 2, 64)
    assert loaded == ["base", "adapted"]  # each once
    hidden = gaps(unigram, DOCUMENTS, 2, 64)
    floor = evaluation.CountingFloor(unigram, ["மழை மழை"]).best(GUESSES)
    guesses = [
        {"floor": floor, "base": guess(models["base"], unigram, gap), "trained": guess(models["adapted"], unigram, gap)}
        for gap in hidden
    ]
    assert all(found["base"] != found["trained"] for found in guesses)
    assert written == render("tamil: <mlm>", "ta", list(zip(hidden, guesses, strict=True)))
    assert "<title>tamil: &lt;mlm&gt;</title>" in written


def test_rows_say_how_many_tokens_are_unknown(unigram):
    floor = evaluation.CountingFloor(unigram, [DOCUMENTS[0]["text"]])
    (row,) = floor.score([DOCUMENTS[2] | {"text": "☃ மழை"}])
    assert row["unknown"] >= 1
    assert SimpleNamespace(**row).bytes == len("☃ மழை".encode())


def test_the_floor_counts_its_parts_of_the_training_split_only(unigram, tmp_path):
    unigram.save_pretrained(tmp_path / "model")
    write_json(tmp_path / "base.json", {"folder": str(tmp_path / "model")})
    old = DOCUMENTS[1] | {"register": "old"}
    write_jsonl(tmp_path / "train.jsonl", [DOCUMENTS[0], old])
    write_jsonl(tmp_path / "validation.jsonl", [DOCUMENTS[2]])
    write_jsonl(tmp_path / "test.jsonl", [old, DOCUMENTS[2]])
    rows = {split: tmp_path / f"{split}.jsonl" for split in ("validation", "test")}
    outputs = {split: tmp_path / f"floor.{split}.jsonl" for split in rows}
    evaluation.write_floor(tmp_path / "base.json", tmp_path / "train.jsonl", ["modern"], rows, outputs)
    floor = evaluation.CountingFloor(unigram, [DOCUMENTS[0]["text"]])
    assert list(read_jsonl(outputs["validation"])) == list(floor.score([DOCUMENTS[2]]))
    assert list(read_jsonl(outputs["test"])) == list(floor.score([old, DOCUMENTS[2]]))
    with pytest.raises(InputError, match="no row of register drama"):
        evaluation.write_floor(tmp_path / "base.json", tmp_path / "train.jsonl", ["drama"], rows, outputs)
