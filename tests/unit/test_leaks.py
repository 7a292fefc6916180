"""Sources with splits of their own, from collected rows to splits: no text and no group is in two of them."""

import numpy as np
import pytest
from collecting import BANGLA, FILES, TAMIL, gather, ready_folder, write
from hypothesis import given
from hypothesis import strategies as st
from splitting import split

from kalam.corpus.clean import clean_file
from kalam.corpus.merge import merge, merge_files
from kalam.corpus.shingles import shingle_sets
from kalam.data import split as split_room
from kalam.data.placement import SPLITS
from kalam.data.split import split_files
from kalam.files.errors import InputError
from kalam.files.jsonl import read_json, read_jsonl, write_jsonl
from kalam.text.languages import language_row
from kalam.text.normalisation import normalise

TENTHS = {"validation": 0.1, "test": 0.1}
CLEANING = {
    "min_characters": 10,
    "max_characters": 4000,
    "min_script_fraction": 0.7,
    "max_repeated_lines": 0.4,
    "max_symbols": 0.3,
}
LANGUAGES = pytest.mark.parametrize(("language", "texts"), [("bn", BANGLA), ("ta", TAMIL)])


def splits_of(root, language, *sources):
    """(the texts of each split, what the merge dropped, what the split dropped) of sources as configured."""
    inputs = []
    for number, source in enumerate(sources):
        rows = [{**row, "source": f"source {number}"} for row in gather(source, root)[0]]
        write_jsonl(root / "collected.jsonl", rows)
        outputs = [root / f"{number}.{what}" for what in ("jsonl", "dropped.jsonl", "counts.json")]
        clean_file(root / "collected.jsonl", *outputs, language, CLEANING)
        inputs.append(outputs[0])
    merged, joins, dropped, leaks, counts = (root / name for name in ("merged", "joins", "dropped", "leaks", "counts"))
    merge_files(inputs, merged, joins, dropped, counts, 0.8, 1, None, "first")
    paths = {name: root / f"{name}.jsonl" for name in SPLITS}
    names = [f"source {number}" for number in range(len(sources))]
    figures = split_files(merged, joins, paths, names, [], TENTHS, 1, leaks, counts)
    assert read_json(counts) == figures
    assert figures["read"] == figures["kept"] + sum(figures["dropped"].values())
    texts = {name: [row["text"] for row in read_jsonl(path)] for name, path in paths.items()}
    return texts, list(read_jsonl(dropped)), list(read_jsonl(leaks))


@LANGUAGES
def test_the_copy_that_is_held_out_stays(tmp_path, language, texts):
    near = f"{texts[1]} {texts[0][:12]}".strip()
    source = ready_folder(
        tmp_path,
        train=[texts[0], f"{texts[2]}!", near, texts[3]],
        val=[texts[2], f"{texts[4]}!"],
        test=[texts[1], texts[4]],
    )
    parts, dropped, leaks = splits_of(tmp_path, language, source)
    assert parts == {"train": [texts[0], texts[3]], "validation": [texts[2]], "test": [texts[1], texts[4]]}
    assert [(row["text"], row["reason"], row["split"]) for row in dropped] == [
        (f"{texts[2]}!", "duplicate", "train"),
        (f"{texts[4]}!", "duplicate", "validation"),
        (near, "near_duplicate", "train"),
    ]
    assert leaks == []


@LANGUAGES
def test_of_a_group_in_several_splits_the_strictest_stays(tmp_path, language, texts):
    similar = f"{texts[1]} {texts[3][:60]}".strip()
    source = ready_folder(
        tmp_path,
        train=[texts[0], {"text": texts[2], "group": "கம்பர்"}, similar],
        val=[{"text": texts[4], "group": "கம்பர்"}],
        test=[texts[1]],
    )
    parts, dropped, leaks = splits_of(tmp_path, language, source)
    assert parts == {"train": [texts[0]], "validation": [texts[4]], "test": [texts[1]]}
    assert dropped == []
    assert [(row["text"], row["reason"], row["group"], row["held_out"]) for row in leaks] == [
        (texts[2], "leak", "kobita/கம்பர்", "validation"),
        (similar, "leak", "kobita/own/test.jsonl#1", "test"),
    ]


@LANGUAGES
@pytest.mark.parametrize("ready_first", [True, False])
def test_what_is_held_out_is_trained_on_neither_within_another_text_nor_in_pieces(
    tmp_path, language, texts, ready_first
):
    source = ready_folder(tmp_path, train=[texts[0]], validation=[texts[1]], test=[f"{texts[2]} {texts[3]}"])
    others = [" ".join(reversed(text.split())) for text in texts]
    book = " ".join([*(" ".join(sorted(text.split())) for text in texts), texts[1]])
    write(tmp_path / "web.jsonl", [{"text": text} for text in [book, *others, texts[3]]])
    web = {**FILES, "paths": ["web.jsonl"]}
    parts, dropped, leaks = splits_of(tmp_path, language, *([source, web] if ready_first else [web, source]))
    assert [(row["text"], row["reason"]) for row in dropped] == [(texts[3], "contained")]
    assert [(row["text"], row["held_out"]) for row in leaks] == [(book, "validation")]
    assert texts[1] in parts["validation"] and f"{texts[2]} {texts[3]}" in parts["test"]


@LANGUAGES
@pytest.mark.parametrize("ready_first", [True, False])
def test_other_sources_keep_off_what_is_held_out(tmp_path, language, texts, ready_first):
    source = ready_folder(tmp_path, train=texts[:2], validation=[texts[2]], test=[texts[3]])
    others = [" ".join(reversed(text.split())) for text in texts]
    similar = [f"{text} {texts[4][:60]}".strip() for text in texts[:4]]
    write(tmp_path / "web.jsonl", [{"text": text} for text in [f"{texts[3]}!", *similar, *others]])
    web = {**FILES, "paths": ["web.jsonl"]}
    parts, dropped, leaks = splits_of(tmp_path, language, *([source, web] if ready_first else [web, source]))
    inside = [] if ready_first else [(text, "contained") for text in texts[:2]]  # of what stands before them
    assert sorted((row["text"], row["reason"]) for row in dropped) == sorted([(f"{texts[3]}!", "duplicate"), *inside])
    held_out = [(row["text"], row["held_out"]) for row in leaks if row["text"] in similar]
    assert held_out == [(similar[2], "validation"), (similar[3], "test")]
    assert texts[2] in parts["validation"] and texts[3] in parts["test"]
    where = {text: name for name, part in parts.items() for text in part}
    for text, kin in zip(texts[:2], similar[:2], strict=True):
        assert where[kin] == where[text] == "train" if ready_first else text not in where
    assert {where[text] for text in others + similar[:2]} == set(SPLITS)


def document(identity, group, split=None, source="own"):
    brought = {"split": split} if split else {}
    return {"id": identity, "group": group, "own_group": group, "register": "verse", "source": source, **brought}


@given(
    st.lists(st.tuples(st.integers(0, 12), st.sampled_from([None, *SPLITS])), max_size=40),
    st.integers(0, 20),
)
def test_no_group_is_in_two_splits_and_no_row_goes_elsewhere(picks, seed):
    rows = [document(f"d{number}", f"g{group}", split) for number, (group, split) in enumerate(picks)]
    rows += [document(f"own {split}", f"own {split}", split) for split in SPLITS]
    rows += [document(f"web {number}", f"web {number}") for number in range(3)]
    parts, leaks = split(rows, [], ["own"], TENTHS, seed)
    kept = {row["id"]: name for name, part in parts.items() for row in part}
    lost = {row["id"]: reason["held_out"] for row, reason in leaks}
    assert len(kept) + len(lost) == len(rows) and kept.keys() | lost.keys() == {row["id"] for row in rows}
    groups = [{row["group"] for row in part} for part in parts.values()]
    assert not (groups[0] & groups[1] or groups[0] & groups[2] or groups[1] & groups[2])
    strictest = {row["group"]: name for name in SPLITS for row in rows if row.get("split") == name}
    for row in rows:
        if row["id"] in lost:
            assert lost[row["id"]] == strictest[row["group"]] != row.get("split", "train")
        elif "split" in row:
            assert kept[row["id"]] == row["split"]


def test_a_register_left_without_a_split_is_refused_by_name():
    rows = [document(name, "one poet", name) for name in SPLITS]
    with pytest.raises(InputError, match="register verse: 3 documents in 1 groups found, none for train"):
        split(rows, [], ["own"], TENTHS, 1)


def test_the_rest_of_a_register_is_split_as_if_it_were_alone():
    rest = [document(f"web {number}", f"web {number}", source="web") for number in range(50)]
    ready = [document(f"own {name}", f"own {name}", name) for name in SPLITS]
    alone, together = (split(rows, [], ["own", "web"], TENTHS, 1)[0] for rows in (rest, ready + rest))
    for name in SPLITS:
        assert [row["id"] for row in together[name]] == [f"own {name}", *(row["id"] for row in alone[name])]


def inside(texts, share, marks):
    """The pairs (text, one that has so much of its shingles), by comparing all; int64 [pairs, 2]."""
    sets = shingle_sets(texts, marks)
    sizes = np.array([len(one) for one in sets])
    flat, owners = np.concatenate(sets), np.repeat(np.arange(len(sets)), sizes)
    order = np.argsort(flat, kind="stable")
    flat, owners, codes = flat[order], owners[order], []
    for step in range(1, len(sets)):
        same = flat[step:] == flat[:-step]
        if not same.any():
            break
        codes.append(owners[:-step][same] * len(sets) + owners[step:][same])
    pairs, shared = np.unique(np.concatenate(codes), return_counts=True)
    pairs = np.stack(np.divmod(pairs, len(sets)), axis=1)
    both = np.concatenate((pairs, pairs[:, ::-1]))
    return both[np.tile(shared, 2) >= share * sizes[both[:, 0]]]


@pytest.mark.slow
@pytest.mark.parametrize("language", ["bn", "ta"])
def test_no_real_text_that_is_tested_on_lies_in_one_that_is_trained_on(shared_data, language):
    """Poems, songs and books as several editions have them, at twenty seeds of the split."""
    sources = sorted((shared_data / "corpora" / language).glob("*/docs.jsonl"))
    marks = language_row(language).optional_marks
    rows = [
        {"id": r["id"], "text": normalise(r["text"], language), "group": r["id"], "source": n, "register": "all"}
        for n, path in ((path.parent.name, path) for path in sources)
        for r in read_jsonl(path)
    ]
    judged, joins = merge(rows, [len(rows)], 0.8, 20, None, "first", marks)
    kept = [document for document, reason in judged if reason is None]
    pairs = inside([document["text"] for document in kept], 0.7, marks)
    assert len(pairs) > 20
    names = [path.parent.name for path in sources]
    for seed in range(20):
        placed = split_room.split(kept, joins, names, TENTHS, seed)
        places = [None if reason else place for _, place, reason in placed]
        there = [(places[one], places[other]) for one, other in pairs.tolist() if places[one] and places[other]]
        assert len(there) > 20
        assert all(one == other for one, other in there)
