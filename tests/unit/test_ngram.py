"""The n-gram floor against its formula, written out a second time the slow way."""

import json
import math
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kalam.evaluation import ngram
from kalam.evaluation.bits import measure
from kalam.evaluation.ngram import CharacterNgram, choose_orders, floor_rows, write_floors
from kalam.files.errors import InputError
from kalam.files.jsonl import read_json, read_jsonl, write_jsonl

BANGLA = [
    "র\u200d্যাব বৃষ্টিতে ভিজে যায়।\nবৃষ্টি পড়ে টাপুর টুপুর, নদে এল বান।",
    "ক্\u200cষ আর ক্ষ এক নয়; ড\u09bcেও নুক্তা আছে।",
    "বান এল, বৃষ্টি এল।",
]
OTHERS = ["كِتَابٌ می\u200cروم ﻻ ﷲ", "அன்பும் க்ஷ அன்பு", "don't 𝔸 naïve 𞤀", "a"]
TEXTS = BANGLA + OTHERS

# One character never seen of each length in UTF-8, and how many characters have that length.
UNSEEN = {"Q": 128, "Ж": 0x800 - 0x80, "語": 0x10000 - 0x800 - 0x800, "😀": 0x110000 - 0x10000}

characters = st.one_of(st.sampled_from(sorted(set("".join(TEXTS)))), st.characters(exclude_categories=["Cs"]))
contexts = st.lists(characters, max_size=8).map("".join)


def reference_probability(texts: list[str], order: int, history: list[str], character: str) -> float:
    """The formula as it stands in print, counting by going through all texts every time."""
    if order == 0:
        return 1 / 4 / UNSEEN[next(one for one in UNSEEN if len(one.encode()) == len(character.encode()))]
    context = (["start"] * order + history)[len(history) + 1 :]
    followers = []
    for text in texts:
        padded = ["start"] * (order - 1) + list(text)
        for place in range(order - 1, len(padded)):
            if padded[place - order + 1 : place] == context:
                followers.append(padded[place])
    lower = reference_probability(texts, order - 1, history, character)
    if not followers:
        return lower
    types = len(set(followers))
    return (followers.count(character) + types * lower) / (len(followers) + types)


@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("text", [BANGLA[1], "বৃষ্টি\u200dনদে Qর\n語😀ক্ষ", "a", ""])
def test_equals_the_formula_written_out(order, text):
    model = CharacterNgram.fit(TEXTS, order)
    expected = -sum(
        math.log(reference_probability(TEXTS, order, list(text[:place]), character))
        for place, character in enumerate(text)
    )
    assert model.nll(text) == pytest.approx(expected, rel=1e-12)


def test_known_by_hand():
    # After the start of "ab": a has been seen once, of one type, so p(a) = (1 + 1 * p1(a)) / 2,
    # where p1(a) = (1 + 2 / 512) / 4, since of two characters two are different and ASCII has 128.
    once = (1 + 2 / 512) / 4
    assert CharacterNgram.fit(["ab"], 1).nll("a") == pytest.approx(-math.log(once))
    assert CharacterNgram.fit(["ab"], 2).nll("a") == pytest.approx(-math.log((1 + once) / 2))


MODELS = {order: CharacterNgram.fit(TEXTS, order) for order in (1, 2, 4, 7)}
WHOLE = MODELS[4].nlls(TEXTS)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(MODELS)), contexts)
def test_all_of_unicode_sums_to_one_after_any_context(order, context):
    model, seen = MODELS[order], sorted(set("".join(TEXTS)))
    assert not set(UNSEEN) & set(seen)

    texts = [context, *(context + character for character in [*seen, *UNSEEN])]
    scores = model.nlls(texts)[-1]
    probability = dict(zip([*seen, *UNSEEN], np.exp(scores[0] - scores[1:]), strict=True))
    total = math.fsum(probability[character] for character in seen)
    for one, size in UNSEEN.items():
        of_its_length = sum(len(character.encode()) == len(one.encode()) for character in seen)
        total += (size - of_its_length) * probability[one]
    assert total == pytest.approx(1, abs=1e-9)


def test_a_character_never_seen_costs_much_and_not_infinitely():
    model = CharacterNgram.fit(BANGLA, 3)
    assert 5 < model.nll("語") - model.nll("") < 40
    assert math.isfinite(model.nll("語" * 50 + "বান"))
    assert model.nll("語") > model.nll("ব")


@settings(max_examples=40, deadline=None)
@given(st.permutations(TEXTS), st.permutations([*TEXTS, "Q", ""]))
def test_the_order_of_documents_does_not_count(train, scored):
    model = CharacterNgram.fit(train, 4)
    alone = [MODELS[4].nll(text) for text in scored]
    assert model.nlls(scored)[-1] == pytest.approx(alone, rel=1e-12)


def test_documents_are_scored_apart():
    model = CharacterNgram.fit(BANGLA, 4)
    together, joined = model.nlls(["বৃষ্টি", "বৃষ্টি"])[-1], model.nll("বৃষ্টিবৃষ্টি")
    assert together[0] == together[1]
    assert joined != pytest.approx(together.sum())


@pytest.mark.parametrize("size", [1, 7, 40])
def test_batches_and_pieces_of_a_text_move_no_figure(size, monkeypatch):
    monkeypatch.setattr(ngram, "BATCH", size)
    assert np.array_equal(CharacterNgram.fit(TEXTS, 4).nlls(TEXTS), WHOLE)


def test_counts_go_down_to_every_lower_order():
    model = CharacterNgram.fit(TEXTS, 5)
    for order in range(1, 6):
        alone = CharacterNgram.fit(TEXTS, order)
        assert model.nlls(TEXTS)[order - 1] == pytest.approx(alone.nlls(TEXTS)[-1], rel=1e-12)
        assert model.limited(order).nll(BANGLA[0]) == pytest.approx(alone.nll(BANGLA[0]), rel=1e-12)


def choose_order(train, validation, orders):
    return choose_orders(train, {"verse": validation}, ["verse"], orders)["verse"]


def test_choose_order_takes_the_cheapest_on_validation():
    # No two characters alike in sequence: whatever looks back is misled by what it counted.
    assert choose_order(["abcabcabcabc"], ["cbacba"], [3, 1, 2]).order == 1
    assert choose_order(["abcabdabcabd" * 9], ["abcabdabcabd"], [1, 2, 4]).order == 4


def test_choose_order_gives_a_tie_to_the_lower_order():
    # An order 3 or 4 adds the same start context again and again; with nothing known it adds nothing.
    assert choose_order(["a"], ["語"], [4, 3]).order == 3


def test_each_part_takes_the_order_that_is_best_on_its_own_validation_text():
    # What was counted repeats in `song`, and misleads in `list`: one order for both would be wrong for one of them.
    validation = {"song": ["abcabdabcabd"] * 9, "list": ["dcbadcba"], "empty": [""]}
    train = ["abcabdabcabd" * 9]
    models = choose_orders(train, validation, ["list", "song", "drama", "empty"], [1, 2, 4])
    assert {part: model.order for part, model in models.items()} == {"list": 1, "song": 4, "drama": 4, "empty": 4}
    assert choose_order(train, [*validation["song"], *validation["list"]], [1, 2, 4]).order == 4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: CharacterNgram.fit([], 3), "no text to count"),
        (lambda: CharacterNgram.fit(["", ""], 3), "no text to count"),
        (lambda: CharacterNgram.fit(["a"], 0), "allowed is 1 or more"),
        (lambda: choose_order(["a"], ["b"], [0, 2]), r"orders of the n-gram floor: \[0, 2\]"),
        (lambda: choose_order(["a"], [], [2]), "validation text, and there is none"),
    ],
)
def test_what_cannot_be_counted_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_floor_rows_carry_the_sizes_of_the_text_and_no_tokens():
    model = CharacterNgram.fit(BANGLA, 3)
    row = next(floor_rows(model, [{"id": "d1", "group": "ছড়া", "register": "verse", "text": "বান এল।"}]))
    assert row["nll"] == pytest.approx(model.nll("বান এল।"))
    assert {key: row[key] for key in row if key != "nll"} == {
        "id": "d1",
        "group": "ছড়া",
        "part": "verse",
        "bytes": 19,
        "characters": 7,
        "words": 2,
        "tokens": None,
        "failure": None,
    }


SPLITS = {
    "train": [("news", BANGLA[1]), ("news", "வான் மழை பெய்கிறது; " * 3), ("verse", BANGLA[0]), ("verse", BANGLA[2])],
    "validation": [("news", "அன்பும் க்ஷ அன்பு"), ("verse", "বৃষ্টি এল, বান এল।"), ("drama", "ক্ষমা")],
    "test": [("verse", "নদে এল বান।"), ("news", "மழை"), ("drama", "র\u200d্যাব")],
}
TESTED = ["verse", "news", "drama"]
PARTS = {"floor_base": ["news"], "floor": ["news", "verse"]}


@pytest.fixture
def rows(tmp_path):
    """A dataset's splits as files."""
    files = {split: tmp_path / f"{split}.jsonl" for split in SPLITS}
    for split, some in SPLITS.items():
        documents = ({"id": f"{split}{n}", "group": f"g{n}", "register": r, "text": t} for n, (r, t) in enumerate(some))
        write_jsonl(files[split], documents)
    return files


def test_floors_count_their_parts_and_score_all_of_the_test_split(rows, tmp_path):
    outputs = {floor: tmp_path / f"{floor}.test.jsonl" for floor in PARTS}
    write_floors(rows, PARTS, [3, 1, 2], outputs, tmp_path / "floors.json")
    orders = {}
    for floor, parts in PARTS.items():
        train = [text for register, text in SPLITS["train"] if register in parts]
        own = {
            part: choose_order(train, [t for r, t in SPLITS["validation"] if r == part], [1, 2, 3]) for part in TESTED
        }
        orders[floor] = {part: model.order for part, model in own.items()}
        scored = list(read_jsonl(outputs[floor]))
        assert [(row["id"], row["group"], row["part"]) for row in scored] == [
            ("test0", "g0", "verse"),
            ("test1", "g1", "news"),
            ("test2", "g2", "drama"),
        ]
        assert [row["nll"] for row in scored] == pytest.approx([own[part].nll(text) for part, text in SPLITS["test"]])
    assert len({*orders["floor_base"].values()}) > 1
    assert read_json(tmp_path / "floors.json") == {"parts": PARTS, "orders": orders}
    base, floor = ([row["nll"] for row in read_jsonl(outputs[name])] for name in ("floor_base", "floor"))
    assert floor[0] < base[0]  # only one of them has read verse


def test_a_floor_of_a_part_that_is_not_there_is_refused(rows, tmp_path):
    with pytest.raises(InputError, match=r"train\.jsonl: no row of register drama"):
        write_floors(rows, {"floor": ["drama"]}, [1], {"floor": tmp_path / "out.jsonl"}, tmp_path / "floors.json")
    assert not (tmp_path / "floors.json").exists()


def test_news_costs_what_bangla_is_known_to_cost(shared_data):
    with open(shared_data / "corpora" / "bn" / "news_cc_by" / "docs.jsonl", encoding="utf-8") as lines:
        texts = [unicodedata.normalize("NFC", json.loads(line)["text"]) for line in lines]
    documents = [
        {"id": f"{n:04}", "group": f"{n:04}", "register": "news", "text": text} for n, text in enumerate(texts)
    ]
    model = choose_order(texts[:22], texts[22:44], [2, 3, 4, 5, 6])  # about 90 KB each
    assert model.order in (3, 4, 5)
    assert 1.0 < measure(list(floor_rows(model, documents[-60:])), "bits_per_byte") < 1.3
