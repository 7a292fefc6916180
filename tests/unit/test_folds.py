"""Folds: every row of train and validation is held out once, by group, and nothing of it is trained on then."""

from collections import Counter

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kalam.data.folds import deal, write_fold
from kalam.files.errors import InputError
from kalam.files.jsonl import read_jsonl, write_jsonl

SPLITS = ("train", "validation")


def rows(split, part, groups, each=1):
    return [
        {"id": f"{split}-{part}-{group}-{n}", "group": f"{split}-{part}-{group}", "register": part, "text": "কবিতা"}
        for group in range(groups)
        for n in range(each)
    ]


def cut(folder, given, of, parts=("prose", "verse"), seed=3):
    """The rows of each fold by split, as `write_fold` writes them from files."""
    files = {split: folder / f"{split}.jsonl" for split in SPLITS}
    for split, path in files.items():
        write_jsonl(path, given[split])
    found = []
    for number in range(1, of + 1):
        outputs = {split: folder / f"{number}.{split}.jsonl" for split in (*SPLITS, "test")}
        write_fold(files, parts, "register", number, of, seed, outputs)
        found.append({split: list(read_jsonl(path)) for split, path in outputs.items()})
    return found


def test_every_row_is_held_out_once_and_no_group_is_in_two_places(tmp_path):
    given = {
        "train": rows("train", "prose", 13, 3) + rows("train", "verse", 9),
        "validation": rows("validation", "prose", 4) + rows("validation", "verse", 3, 2),
    }
    every = [row for some in given.values() for row in some]
    folds = cut(tmp_path, given, 3)
    assert sorted(row["id"] for fold in folds for row in fold["test"]) == sorted(row["id"] for row in every)
    for fold in folds:
        places = Counter(group for some in fold.values() for group in {row["group"] for row in some})
        assert set(places.values()) == {1}
        assert [row for some in (fold["train"], fold["validation"]) for row in some if row not in fold["test"]] == [
            row for row in every if row not in fold["test"]
        ], "train and validation are what they were without the fold, in their order"
        assert all(row in given[split] for split in SPLITS for row in fold[split])
    sizes = [Counter(row["register"] for row in fold["test"]) for fold in folds]
    assert [size["prose"] for size in sizes] == [16, 14, 13], "thirteen groups of three and four of one"
    assert [size["verse"] for size in sizes] == [5, 5, 5]
    assert [len(fold["validation"]) for fold in folds] == [7, 6, 7]


def test_rows_of_other_parts_stay_where_they_are_but_for_those_of_a_group_that_is_held_out(tmp_path):
    mixed = rows("train", "verse", 6) + rows("train", "prose", 5)
    mixed += [{"id": "both", "group": "train-verse-0", "register": "prose", "text": "গদ্য"}]
    given = {"train": mixed, "validation": rows("validation", "verse", 3) + rows("validation", "prose", 2)}
    folds = cut(tmp_path, given, 3, parts=["verse"])
    assert {row["register"] for fold in folds for row in fold["test"]} == {"verse"}
    assert sum(len(fold["test"]) for fold in folds) == 9
    for fold in folds:
        prose = [row["id"] for split in SPLITS for row in fold[split] if row["register"] == "prose"]
        held_out = "train-verse-0" in {row["group"] for row in fold["test"]}
        assert len(prose) == 7 + (not held_out) and ("both" in prose) != held_out


GROUPS = st.dictionaries(
    st.integers(0, 10_000).map(str),
    st.dictionaries(
        st.tuples(st.sampled_from(SPLITS), st.sampled_from(["prose", "verse"])), st.integers(1, 9), min_size=1
    ).map(lambda cells: {key: n for key, n in cells.items() if key[0] == next(iter(cells))[0]}),
    min_size=1,
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(GROUPS, st.integers(2, 6), st.integers(0, 3))
def test_groups_are_dealt_out_whole_and_evenly_in_whatever_order_they_come(groups, of, seed):
    try:
        fold = deal(groups, of, seed)
    except InputError:
        assume(False)
    assert fold == deal(dict(reversed(groups.items())), of, seed)
    assert fold.keys() == groups.keys() and set(fold.values()) == set(range(1, of + 1))
    held = Counter(part for group in groups for part in {(fold[group], part) for _, part in groups[group]})
    parts = {part for cells in groups.values() for _, part in cells}
    assert held.keys() == {(number, part) for number in range(1, of + 1) for part in parts}


@given(st.integers(2, 7), st.integers(0, 20), st.integers(0, 20), st.integers(0, 9))
def test_groups_of_one_size_are_as_many_in_every_fold_as_can_be(of, trained, validated, seed):
    assume(trained + validated >= of and validated != 1 and trained != 1)
    groups = {f"t{n}": {("train", "verse"): 2} for n in range(trained)}
    groups |= {f"v{n}": {("validation", "verse"): 2} for n in range(validated)}
    fold = deal(groups, of, seed)
    for some in ("t", "v", ""):
        sizes = [sum(fold[g] == number and g.startswith(some) for g in groups) for number in range(1, of + 1)]
        assert max(sizes) - min(sizes) <= (1 if some else 2)


def test_another_seed_deals_out_otherwise():
    groups = {f"g{n}": {("train", "verse"): 1} for n in range(20)} | {"v": {("validation", "verse"): 1}}
    groups |= {"w": {("validation", "verse"): 1}}
    assert deal(groups, 4, 1) != deal(groups, 4, 2)


@pytest.mark.parametrize(
    ("train", "validation", "of", "message"),
    [
        (2, 2, 5, "folds: found 5, but 4 groups of verse in train and validation; allowed are up to 4"),
        (6, 1, 2, "folds: found all of validation in fold 1 of 2, cut by group; allowed are fewer folds, or more"),
        (1, 6, 2, "folds: found all of train in fold 1 of 2, cut by group; allowed are fewer folds, or more groups"),
    ],
)
def test_too_few_groups_are_refused(train, validation, of, message):
    groups = {f"t{n}": {("train", "verse"): 9 - n} for n in range(train)}
    groups |= {f"v{n}": {("validation", "verse"): 20} for n in range(validation)}
    with pytest.raises(InputError, match=message):
        deal(groups, of, 1)
