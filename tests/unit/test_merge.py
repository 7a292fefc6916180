"""Sources become one file: in their order, without duplicates, within a limit."""

from hypothesis import given
from hypothesis import strategies as st

from kalam.corpus.merge import merge_files
from kalam.data.limits import in_turn, within_limit
from kalam.files.jsonl import read_json, read_jsonl, write_jsonl

POEMS = [
    "আজি ঝরো ঝরো মুখর বাদলদিনে জানি নে, জানি নে কিছুতে কেন মন লাগে না",
    "মেঘের পরে মেঘ জমেছে, আঁধার করে আসে, আমায় কেন বসিয়ে রাখ একা দ্বারের পাশে",
    "র‍্যাব এল ভোরের আগে নদীর ধারে, শাঁখ বাজে দূরে, বৃষ্টি পড়ে বারে বারে",
    "অগর মুদির দোকানে সন্ধ্যায় আলো জ্বলে, পথের মোড়ে লোকের ভিড় বাড়ে",
    "நதியின் கரையில் ஒரு பழைய ஆலமரம் நின்றது, அதன் நிழலில் குழந்தைகள் விளையாடினர்",
]


def row(name, text):
    return {"id": name, "text": text, "group": name, "source": name[0]}


def merge(folder, sources, max_records=None, sampling="first", seed=1):
    """(the kept rows, the dropped rows, the counts) of sources given as lists of rows."""
    for number, rows in enumerate(sources):
        write_jsonl(folder / f"{number}.jsonl", rows)
    outputs = [folder / name for name in ("merged.jsonl", "joins.jsonl", "dropped.jsonl", "counts.json")]
    inputs = [folder / f"{number}.jsonl" for number in range(len(sources))]
    figures = merge_files(inputs, *outputs, 0.8, seed, max_records, sampling)
    assert read_json(outputs[3]) == figures
    return list(read_jsonl(outputs[0])), list(read_jsonl(outputs[2])), figures


def test_sources_are_merged_in_order(tmp_path):
    sources = [[row("b0", POEMS[0]), row("b1", POEMS[1])], [], [row("a0", POEMS[1] + "।"), row("a1", POEMS[2])]]
    kept, dropped, figures = merge(tmp_path, sources)
    assert [document["id"] for document in kept] == ["b0", "b1", "a1"]
    assert [(document["id"], document["duplicate_of"], document["group"]) for document in dropped] == [
        ("a0", "b1", "a0")
    ]
    assert figures == {"read": 4, "kept": 3, "dropped": {"duplicate": 1}}


def test_what_stays_keeps_its_own_group_and_the_joins_say_how_it_got_the_other(tmp_path):
    first = [row("b0", POEMS[0]), row("b1", POEMS[1])]
    second = [{**row(name, text), "group": "anthology"} for name, text in (("a0", POEMS[1]), ("a1", POEMS[2]))]
    held_out = [{**row(name, POEMS[3]), "split": "test"} for name in ("c0", "c1")]
    kept, dropped, _ = merge(tmp_path, [first, second * 2, held_out])
    assert [(document["own_group"], document["group"]) for document in kept] == [
        ("b0", "b0"),
        ("b1", "anthology"),
        ("anthology", "anthology"),
        ("c0", "c0"),
    ]
    assert not any("own_group" in document for document in dropped)
    assert list(read_jsonl(tmp_path / "joins.jsonl")) == [
        {"stage": None, "group": "c1", "other": "c0"},
        {"stage": "a", "group": "anthology", "other": "b1"},
    ]


def test_within_a_limit_the_sources_take_turns(tmp_path):
    first = [row("a0", POEMS[0]), row("a1", POEMS[1]), row("a2", POEMS[2])]
    sources = [first, [], [row("b0", POEMS[0]), row("b1", POEMS[3])]]
    kept, dropped, figures = merge(tmp_path, sources, max_records=3)
    assert [document["id"] for document in kept] == ["a0", "a1", "b1"]
    assert figures == {"read": 5, "kept": 3, "dropped": {"beyond_max_records": 1, "duplicate": 1}}
    assert dropped[0] == {**row("a2", POEMS[2]), "reason": "beyond_max_records", "allowed": 3}
    assert merge(tmp_path, sources, max_records=4)[0] == merge(tmp_path, sources)[0]


def test_within_a_limit_a_sample_is_seeded_and_in_order(tmp_path):
    sources = [[row(f"d{number}", text) for number, text in enumerate(POEMS)]]
    samples = [[d["id"] for d in merge(tmp_path, sources, 2, "random", seed)[0]] for seed in (1, 1, *range(2, 8))]
    assert samples[0] == samples[1]
    assert len({tuple(sample) for sample in samples}) > 2
    assert all(len(sample) == 2 and sample == sorted(sample) for sample in samples)


limits = st.lists(st.integers(0, 6), max_size=5), st.integers(1, 20), st.integers(0, 9)


def rows_of_sources(lengths):
    return [[{"id": f"{name}-{n}"} for n in range(length)] for name, length in enumerate(lengths)]


@given(*limits)
def test_sources_in_turn_give_equally_many_as_long_as_they_have_any(lengths, most, seed):
    allowed = within_limit(rows_of_sources(lengths), most, "first", seed)
    counts = [sum(row["id"] in allowed for row in rows) for rows in rows_of_sources(lengths)]
    assert sum(counts) == len(allowed) == min(most, sum(lengths))
    assert allowed == {f"{name}-{n}" for name, count in enumerate(counts) for n in range(count)}
    cut = [count for count, length in zip(counts, lengths, strict=True) if count < length]
    assert not cut or max(counts) - min(cut) <= 1
    assert cut == sorted(cut, reverse=True)


@given(*limits)
def test_a_sample_depends_on_neither_sources_nor_order(lengths, most, seed):
    allowed = within_limit(rows_of_sources(lengths), most, "random", seed)
    assert len(allowed) == min(most, sum(lengths))
    pooled = [row for rows in reversed(rows_of_sources(lengths)) for row in rows]
    assert within_limit([pooled], most, "random", seed) == allowed


def test_turns_end_with_the_longest():
    assert "".join(in_turn(["কখগ", "", "চ", "তথ"])) == "কচতখথগ"
