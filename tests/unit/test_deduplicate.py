"""Duplicates, near-duplicates, texts inside others, and the groups they join."""

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kalam.corpus.deduplicate import CONTAINED, INSIDE, deduplicate
from kalam.corpus.shingles import LENGTH, containment, exact_keys, jaccard, shingle_sets
from kalam.data.groups import Groups
from kalam.files.jsonl import read_jsonl
from kalam.text.languages import language_row
from kalam.text.normalisation import normalise

LETTERS = "অআইউকখগঘচছজটঠডতথদধনপফবভমযরলশষসহািীুূে"
THRESHOLD = 0.8


def words(seed, count):
    rng = random.Random(seed)
    return " ".join("".join(rng.choices(LETTERS, k=rng.randint(2, 7))) for _ in range(count))


def documents(*texts, groups=None):
    groups = groups or [f"g{number}" for number in range(len(texts))]
    return [
        {"id": f"d{number}", "text": text, "group": group}
        for number, (text, group) in enumerate(zip(texts, groups, strict=True))
    ]


def result(rows, threshold=THRESHOLD, language="bn"):
    judged, _ = deduplicate(rows, threshold, 20, language_row(language).optional_marks)
    reasons = {document["id"]: reason for document, reason in judged if reason}
    return reasons, {document["id"]: document["group"] for document, _ in judged}


def test_the_first_of_equal_texts_stays_whatever_their_punctuation():
    reasons, groups = result(documents("র\u200d্যাব এল, দেখল।", "অন্য কথা", "র্যাব\nএল — দেখল!", "র্যাব এল দেখল"))
    assert reasons == {
        number: {"reason": "duplicate", "duplicate_of": "d0", "similarity": 1.0} for number in ("d2", "d3")
    }
    assert groups == {"d0": "g0", "d1": "g1", "d2": "g0", "d3": "g0"}


def test_short_texts_are_no_duplicates_of_one_another():
    reasons, _ = result(documents("ক", "খ", "কখ", "!", "?", "", "১", "২", "ক।"))
    assert reasons == {"d8": {"reason": "duplicate", "duplicate_of": "d0", "similarity": 1.0}}


def test_numbers_and_tashkeel_part_editions_not_texts():
    plain = "كتاب الله ظاهر وبحق بين تضعف التهمة وهو الفرق"
    marked = "كِتَابُ اللهِ ظَاهِرٌ وَبِحَقٍّ بَيِّنٍ تَضْعُفُ التُّهْمَةُ وَهُوَ الْفَرْقُ".replace("الْ", "ال")
    texts = documents(plain, marked, plain + " ١٢")
    assert result(texts, language="bn")[0].keys() == {"d2"}  # where marks are no option, they are letters' own
    reasons, _ = result(texts, language="ar")
    assert reasons["d1"] == {"reason": "near_duplicate", "duplicate_of": "d0", "similarity": 1.0}
    assert reasons["d2"] == {"reason": "near_duplicate", "duplicate_of": "d0", "similarity": 1.0}


def test_a_near_duplicate_goes_with_its_exact_similarity():
    text = words(1, 60)
    changed = text + " " + words(2, 6)
    reasons, groups = result(documents(changed, words(3, 60), text))
    expected = jaccard(*shingle_sets([changed, text]))
    assert THRESHOLD <= expected < 1
    assert reasons == {"d2": {"reason": "near_duplicate", "duplicate_of": "d0", "similarity": round(expected, 4)}}
    assert groups["d2"] == groups["d0"] == "g0"


def test_similar_texts_that_stay_share_a_group():
    common = words(4, 60)
    rows = documents(common + " " + words(5, 25), common + " " + words(6, 25), words(7, 80))
    similarity = jaccard(*shingle_sets([rows[0]["text"], rows[1]["text"]]))
    assert THRESHOLD / 2 < similarity < THRESHOLD
    reasons, groups = result(rows)
    assert reasons == {}
    assert groups == {"d0": "g0", "d1": "g0", "d2": "g2"}


def shares(one, other):
    """How much of each of two texts lies in the other, and how similar they are as wholes."""
    first, second = shingle_sets([one, other])
    return containment(first, second), containment(second, first), jaccard(first, second)


def test_a_text_inside_an_earlier_one_goes_with_the_share_that_lies_there():
    poem = words(1, 40)
    book, edited = f"{words(2, 300)} {poem} {words(3, 300)}", f"{poem} {words(4, 1)}"
    reasons, groups = result(documents(book, words(5, 50), poem, edited))
    share = shares(edited, book)[0]
    assert shares(poem, book)[2] < 0.1 and CONTAINED <= share < 1
    assert reasons == {
        "d2": {"reason": "contained", "duplicate_of": "d0", "similarity": 1.0},
        "d3": {"reason": "contained", "duplicate_of": "d0", "similarity": round(share, 4)},
    }
    assert groups == {"d0": "g0", "d1": "g1", "d2": "g0", "d3": "g0"}


def test_a_text_inside_a_later_one_stays_in_its_group():
    poem = words(1, 40)
    reasons, groups = result(documents(poem, words(5, 50), f"{words(2, 300)} {poem} {words(3, 300)}"))
    assert reasons == {}
    assert groups == {"d0": "g0", "d1": "g1", "d2": "g0"}


@pytest.mark.parametrize("book_first", [True, False])
@pytest.mark.parametrize(("own", "together"), [(6, True), (13, True), (26, False)])
def test_most_of_a_text_inside_another_puts_both_into_one_group(own, together, book_first):
    common = words(1, 40)
    book, poem = f"{words(2, 400)} {common}", f"{common} {words(3, own)}"
    share, _, similarity = shares(poem, book)
    assert similarity < 0.15 and (INSIDE <= share < CONTAINED) == together
    rows = documents(*((book, poem) if book_first else (poem, book)), words(4, 80))
    reasons, groups = result(rows)
    assert reasons == {}
    assert groups == {"d0": "g0", "d1": "g0" if together else "g1", "d2": "g2"}


def test_a_held_out_text_inside_one_to_train_on_shares_its_group_and_the_other_way_round_goes():
    poem, book = words(1, 40), f"{words(2, 300)} {words(1, 40)}"
    rows = documents(book, poem)
    rows[1]["split"] = "test"
    reasons, groups = result(rows)
    assert (reasons, groups) == ({}, {"d0": "g0", "d1": "g0"})
    rows[0]["split"], rows[1]["split"] = "test", "train"
    reasons, _ = result(rows)
    assert reasons == {"d1": {"reason": "contained", "duplicate_of": "d0", "similarity": 1.0}}


def test_copies_of_what_is_contained_go_as_it_does_and_name_what_stays():
    poem = words(1, 40)
    book, library = f"{words(2, 200)} {poem}", f"{words(3, 300)} {words(2, 200)} {poem}"
    reasons, groups = result(documents(library, book, poem, f"{poem}!"))
    assert {(reason["reason"], reason["duplicate_of"]) for reason in reasons.values()} == {("contained", "d0")}
    assert reasons.keys() == {"d1", "d2", "d3"}
    assert set(groups.values()) == {"g0"}


def test_what_hundreds_share_is_found_all_the_same():
    """Boilerplate fills the samples of all; a text that lies in one of them is found by the rest of its own."""
    header, poem = words(1, 30), words(2, 40)
    pages = [f"{header} {words(100 + number, 90)}" for number in range(300)]
    pages[200] += f" {poem}"
    rows = documents(*pages, f"{header} {poem}", header)
    reasons, groups = result(rows)
    assert reasons["d300"] == {"reason": "contained", "duplicate_of": "d200", "similarity": pytest.approx(1, abs=0.05)}
    assert groups["d300"] == "g200"
    assert groups["d0"] != groups["d1"]
    assert reasons["d301"]["reason"] == "contained"


pieces = st.lists(st.integers(0, 9), min_size=1, max_size=9)


@given(st.lists(pieces, max_size=9), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_none_of_those_that_stay_lies_in_one_of_another_group(picks, seed):
    parts = [words(10 * seed + number, 4) for number in range(10)]
    rows = documents(*(" ".join(parts[part] for part in some) for some in picks))
    judged = list(deduplicate(rows, THRESHOLD, seed)[0])
    texts = {row["id"]: row["text"] for row in rows}
    kept = [document for document, reason in judged if reason is None]
    for one in kept:
        for other in kept:
            if one["group"] != other["group"]:
                assert max(shares(one["text"], other["text"])[:2]) < INSIDE
    for document, reason in judged:
        if reason and reason["reason"] == "contained":
            share = shares(document["text"], texts[reason["duplicate_of"]])[0]
            assert reason["similarity"] == round(share, 4) and share >= CONTAINED
            assert reason["duplicate_of"] in {one["id"] for one in kept}


def test_groups_join_through_what_is_dropped():
    text = words(8, 30)
    rows = documents(text, words(9, 30), text + "।", words(10, 30), groups=["poem", "anthology", "anthology", "other"])
    _, groups = result(rows)
    assert groups == {"d0": "anthology", "d1": "anthology", "d2": "anthology", "d3": "other"}


def test_one_text_in_many_copies_keeps_one():
    text = words(11, 80)
    rows = documents(*(text.replace(" ", f" {LETTERS[number % 30]} ", 1) for number in range(300)))
    reasons, groups = result(rows)
    assert len(reasons) == 299
    assert Counter(groups.values()) == {"g0": 300}


@given(st.lists(st.integers(0, 5), max_size=14), st.integers(0, 3))
@settings(max_examples=60)
def test_what_stays_is_apart_and_what_goes_has_its_like(picks, seed):
    base = words(seed, 40)
    pool = [base, base + " " + words(90, 3), base + " " + words(91, 30), words(92, 40), "ক খ", base.replace(" ", ", ")]
    rows = documents(*(pool[pick] for pick in picks))
    judged = list(deduplicate(rows, THRESHOLD, seed)[0])
    shingles = dict(zip((row["id"] for row in rows), shingle_sets([row["text"] for row in rows]), strict=True))
    kept = [document["id"] for document, reason in judged if reason is None]
    group = {document["id"]: document["group"] for document, _ in judged}
    assert [document["id"] for document, _ in judged] == [row["id"] for row in rows]
    for place, one in enumerate(kept):
        for other in kept[:place]:
            assert jaccard(shingles[one], shingles[other]) < THRESHOLD
    for document, reason in judged:
        if reason:
            assert reason["duplicate_of"] in kept
            assert reason["similarity"] >= THRESHOLD
            assert group[document["id"]] == group[reason["duplicate_of"]]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 6)), max_size=14), st.integers(0, 14))
@settings(max_examples=60)
def test_the_joins_so_far_give_the_groups_that_the_rows_so_far_would_have_alone(picks, count):
    base = words(5, 40)
    pool = [base, base + " " + words(90, 3), base + " " + words(91, 30), words(92, 40), "ক খ", base.replace(" ", ", ")]
    rows = documents(*(pool[pick] for pick, _ in picks), groups=[f"g{group}" for _, group in picks])
    judged, joins = deduplicate(rows, THRESHOLD, seed=20)
    judged, alone = list(judged), deduplicate(rows[:count], THRESHOLD, seed=20)[0]
    groups = Groups()
    for later, earlier in joins:
        assert earlier < later
        if later < count:
            groups.join(rows[later]["group"], rows[earlier]["group"])
    assert [groups.name(row["group"]) for row in rows[:count]] == [row["group"] for row, _ in alone]
    assert [reason for _, reason in judged[:count]] == [reason for _, reason in alone]


def test_a_copy_that_joins_two_groups_hides_no_earlier_join():
    common = words(4, 60)
    texts = [common + " " + words(5, 25), common + " " + words(6, 25)]
    rows = documents(*texts, *texts, groups=["one", "two", "anthology", "anthology"])
    _, joins = deduplicate(rows, THRESHOLD, seed=20)
    assert (1, 0) in joins


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("abcdefgh")), max_size=12), st.randoms())
def test_a_set_of_groups_goes_by_its_smallest_name_in_any_order(pairs, shuffler):
    def names(joins):
        groups = Groups()
        for one, other in joins:
            groups.join(one, other)
        return {name: groups.name(name) for name in "abcdefgh"}

    shuffled = [pair if shuffler.random() < 0.5 else pair[::-1] for pair in pairs]
    shuffler.shuffle(shuffled)
    expected = names(pairs)
    assert names(shuffled) == expected
    assert all(expected[one] == expected[other] for one, other in pairs)
    for name, smallest in expected.items():
        assert smallest == min(other for other in expected if expected[other] == smallest) <= name


@given(st.lists(st.text(alphabet="কখগa.1 ি", max_size=40), max_size=8))
def test_shingles_are_the_windows_of_letters_and_marks(texts):
    def windows(text):
        letters = "".join(character for character in text if character in "কখগaি")
        return (
            {letters[start : start + LENGTH] for start in range(max(1, len(letters) - LENGTH + 1))}
            if letters
            else set()
        )

    hashed = shingle_sets(texts)
    for one, left in zip(texts, hashed, strict=True):
        assert len(left) == len(windows(one))
        for other, right in zip(texts, hashed, strict=True):
            both, either = windows(one) & windows(other), windows(one) | windows(other)
            assert jaccard(left, right) == (len(both) / len(either) if both else 0)


def test_batches_do_not_show(monkeypatch):
    texts = [words(number, number) for number in range(12)] + ["", "ক"]
    texts += [f"{texts[8]} {texts[9]}", texts[9]]
    whole, keys, judged = shingle_sets(texts), exact_keys(texts), result(documents(*texts))
    assert judged[0].keys() == {"d12", "d15"}
    assert judged[1]["d8"] == judged[1]["d9"] == judged[1]["d14"] == "g14"
    monkeypatch.setattr("kalam.corpus.shingles.BATCH", 50)
    assert all(np.array_equal(*pair) for pair in zip(whole, shingle_sets(texts), strict=True))
    assert exact_keys(texts) == keys
    assert result(documents(*texts)) == judged


def test_exact_keys_pass_over_case_punctuation_and_joiners_only():
    same = exact_keys(["Ab র্য ১", "aB, র\u200d্য১"])
    assert same[0] == same[1]
    assert len(set(exact_keys(["কি", "ক", "ক১", "ক২", "كَ", "ك"]))) == 6


def test_nothing_at_all_is_merged_into_nothing():
    judged, joins = deduplicate([], THRESHOLD, seed=1)
    assert ([*judged], joins) == ([], [])


@pytest.mark.parametrize("language", ["bn", "ta", "ar"])
def test_real_near_duplicates_are_found(shared_data, language):
    folder = shared_data / "corpora" / language
    rows = [
        {"id": row["id"], "text": normalise(row["text"], language), "group": row.get("group") or row["id"]}
        for path in sorted(folder.glob("*/docs.jsonl"))
        for row in read_jsonl(path)
    ]
    similarity = {frozenset((row["a"], row["b"])): row["jaccard"] for row in read_jsonl(folder / "neardup_truth.jsonl")}
    reasons, groups = result(rows, language=language)
    similar = [pair for pair, value in similarity.items() if value >= THRESHOLD]
    found = sum(any(identity in reasons for identity in pair) for pair in similar)
    alike = {identity: reason for identity, reason in reasons.items() if reason["reason"] != "contained"}
    right = sum(
        similarity.get(frozenset((identity, reason["duplicate_of"])), 0) >= THRESHOLD
        for identity, reason in alike.items()
    )
    assert found >= 0.98 * len(similar)
    assert right >= 0.99 * len(alike)
    # no pair so similar is left for a split to separate
    left = [pair for pair, value in similarity.items() if 0.5 <= value < THRESHOLD and not pair & reasons.keys()]
    assert left
    assert sum(len({groups[identity] for identity in pair}) == 1 for pair in left) >= 0.95 * len(left)
