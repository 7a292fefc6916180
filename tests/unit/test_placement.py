"""Sources are placed one after the other: none moves a document of an earlier one, and no group is in two splits."""

import random
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from splitting import split

from kalam.corpus.merge import merge
from kalam.data.placement import SPLITS
from kalam.files.digests import digest_text

LETTERS = "অআইউকখগঘচছজটঠডতথদধনপফবভমযরলশষসহািীুূে"
THIRDS = {"validation": 0.3, "test": 0.3}
SETTINGS = st.sampled_from([THIRDS, {"validation": 2, "test": 3}])


def words(seed, count):
    rng = random.Random(seed)
    return " ".join("".join(rng.choices(LETTERS, k=rng.randint(2, 7))) for _ in range(count))


# each text, with a near-duplicate of it and one that is only similar
TEXTS = [
    (text, f"{text} {words(seed + 50, 3)}", f"{text} {words(seed + 90, 20)}")
    for seed in range(24)
    for text in [words(seed, 40)]
]
TEXT_OF = {digest_text(variant): number for number, variants in enumerate(TEXTS) for variant in variants}
COMMON, ALONE = range(14), range(14, 24)  # what sources share, and what one has alone


def row(source, text, group, split=None):
    brought = {"split": split} if split else {}
    group = f"{source}/{group}"
    return {"id": digest_text(text), "text": text, "group": group, "register": "verse", "source": source, **brought}


def sources_of(texts, splits=(None,)):
    """A strategy for a source's documents: which text in which variant, in which group, and the split it brings."""
    picks = st.tuples(st.sampled_from(texts), st.integers(0, 2), st.integers(0, 7), st.sampled_from(splits))
    return st.lists(picks, max_size=16)


def rows_of(name, picks):
    return [row(name, TEXTS[text][variant], group, split) for text, variant, group, split in picks]


PLAIN = sources_of(COMMON)
# it shares nothing with the others, and gives the register something in every split
BASE = [row("base", words(200 + n, 40), n) for n in range(9)]


def outcome(sources, sizes, seed):
    """The split of each document that stays, by source and id; checks that nothing that belongs together is apart."""
    judged, joins = merge([row for rows in sources for row in rows], list(map(len, sources)), 0.8, 1, None, "first")
    merged = [row for row, reason in judged if reason is None]
    names = list(dict.fromkeys(row["source"] for row, _ in judged))
    parts, leaks = split(merged, joins, names, sizes, seed)
    assert sum(map(len, parts.values())) + len(leaks) == len(merged)
    own = {(row["source"], row["id"]): row["own_group"] for row in merged}
    splits = defaultdict(set)
    for name, part in parts.items():
        for row in part:
            text = TEXT_OF.get(row["id"], row["id"])
            for whole in (("group", row["group"]), ("own", own[row["source"], row["id"]]), ("text", text)):
                splits[whole].add(name)
    assert all(len(found) == 1 for found in splits.values())
    return {(row["source"], row["id"]): name for name, part in parts.items() for row in part}


def named(sources):
    return [BASE, *(rows_of(f"old{number}", picks) for number, picks in enumerate(sources))]


@given(st.lists(PLAIN, max_size=3), PLAIN, SETTINGS, st.integers(0, 9))
@settings(max_examples=80, deadline=None)
def test_a_further_source_moves_and_drops_no_document_of_the_earlier_ones(old, new, sizes, seed):
    sources = named(old)
    before = outcome(sources, sizes, seed)
    after = outcome([*sources, rows_of("new", new)], sizes, seed)
    assert {key: after.get(key) for key in before} == before


@given(
    st.lists(PLAIN, max_size=3),
    st.one_of(sources_of(ALONE), sources_of(ALONE, SPLITS)),
    st.integers(0, 4),
    SETTINGS,
    st.integers(0, 9),
)
@settings(max_examples=80, deadline=None)
def test_a_source_that_shares_nothing_moves_no_document_wherever_it_stands(old, new, place, sizes, seed):
    sources = named(old)
    before = outcome(sources, sizes, seed)
    sources.insert(place, rows_of("new", new))
    after = outcome(sources, sizes, seed)
    assert {key: name for key, name in after.items() if key[0] != "new"} == before


@given(st.lists(st.one_of(PLAIN, sources_of(COMMON, SPLITS)), max_size=4), SETTINGS, st.integers(0, 9))
@settings(max_examples=80, deadline=None)
def test_with_splits_that_sources_bring_no_group_is_in_two(sources, sizes, seed):
    found = outcome(named(sources), sizes, seed)
    brought = {
        (f"old{number}", digest_text(TEXTS[text][variant])): {
            own for other, kind, _, own in picks if (other, kind) == (text, variant)
        }
        for number, picks in enumerate(sources)
        for text, variant, _, own in picks
        if own
    }
    assert all(found[key] in brought[key] for key in found.keys() & brought.keys())


def document(source, group, name=None, **brought):
    own = f"{source}/{group}"
    fields = {"source": source, "own_group": own, "group": own, "register": "verse"}
    return {"id": f"{own} {name}", **fields, **brought}


def join(one, other):
    return {"stage": one.split("/")[0], "group": one, "other": other}


FIRST = [document("first", number) for number in range(9)]


def places(rows, joins, *sources):
    """(the split of each own group that stays, the leaks by own group) with the first source before the others"""
    parts, leaks = split([*FIRST, *rows], joins, ["first", *sources], THIRDS, 1)
    stay = {row["id"].split()[0]: name for name, part in parts.items() for row in part}
    return stay, {row["own_group"]: reason["held_out"] for row, reason in leaks}


ALONE_FIRST = places([], [])[0]
TEST, TRAIN, VALIDATION = (
    next(own for own, found in ALONE_FIRST.items() if found == name) for name in ("test", "train", "validation")
)


@pytest.mark.parametrize("earlier", [TEST, TRAIN, VALIDATION])
def test_a_group_follows_where_an_earlier_source_has_it(earlier):
    stay, leaks = places([document("next", "work")], [join("next/work", earlier)], "next")
    assert stay == {**ALONE_FIRST, "next/work": ALONE_FIRST[earlier]}
    assert leaks == {}


def test_what_joins_two_splits_is_dropped_and_they_stay_apart():
    rows = [document("next", "work"), document("next", "more"), document("last", "edition"), document("last", "other")]
    joins = [join("next/work", TEST), join("next/work", TRAIN), join("next/more", "next/work")]
    joins += [join("last/edition", TRAIN)]
    stay, leaks = places(rows, joins, "next", "last")
    assert stay == {**ALONE_FIRST, "last/other": "train"}
    assert leaks == dict.fromkeys(("next/work", "next/more", "last/edition"), "test")
    parts, _ = split([*FIRST, *rows], joins, ["first", "next", "last"], THIRDS, 1)
    assert {row["group"] for row in parts["test"]}.isdisjoint(row["group"] for row in parts["train"])


def test_what_a_source_brings_held_out_drops_what_belongs_to_it_wherever_it_stands():
    rows = [document("own", "a", split="test"), document("own", "b", split="train"), document("next", "web")]
    joins = [{"stage": "first", "group": TRAIN, "other": "own/a"}, join("next/web", "own/a")]
    for order in (["own", "next"], ["next", "own"]):
        stay, leaks = places(rows, joins, *order)
        assert leaks == {TRAIN: "test", "next/web": "test"}
        assert (stay["own/a"], stay["own/b"]) == ("test", "train")


def test_training_rows_that_a_source_brings_move_no_earlier_document():
    rows = [document("own", name, split="train") for name in "ab"]
    stay, leaks = places(rows, [join("own/a", TEST), join("own/b", TRAIN)], "own")
    assert stay == {**ALONE_FIRST, "own/b": "train"}
    assert leaks == {"own/a": "test"}


def test_followers_count_towards_the_sizes():
    rows = [document("next", "poem", n) for n in range(3)] + [document("next", n) for n in range(7)]
    stay, _ = places(rows, [join("next/poem", TEST)], "next")
    found = [name for own, name in stay.items() if own.startswith("next/") and own != "next/poem"]
    assert sorted(found) == ["train"] * 4 + ["validation"] * 3


def test_the_names_of_other_sources_do_not_choose():
    rows = [document("next", number) for number in range(12)]
    gone = [join(f"next/{number}", f"a source/{number * 5 % 12}") for number in range(12)]
    assert places(rows, gone, "next") == places(rows, [], "next")
