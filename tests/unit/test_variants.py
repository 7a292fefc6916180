"""Lists and folds in the configuration: the runs that they make, their names, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from test_configuration import SCHEMA, small
from test_project import project

from kalam.configuration.cross_validation import folded_runs, folds, rows_folder
from kalam.configuration.resolve import resolve
from kalam.configuration.schema import with_lists
from kalam.configuration.side_by_side import entries, reported, side_by_side
from kalam.configuration.variants import value_name
from kalam.export.convertible import export_contradictions
from kalam.files.errors import InputError

ONE = {"task": "causal", "base": "small", "parts": ["verse"], "training": {"steps": 2, "learning_rate": 1e-4}}
XLMR = {"kind": "scratch", "task": "masked", "architecture": {"model_type": "xlm-roberta"}}
XLMR |= {"parts": ["prose", "verse"], "tokenizer": {"kind": "unigram"}}
MLM = ONE | {"task": "masked", "base": "xlmr", "parts": ["prose", "verse"]}


def runs(**edits) -> dict:
    return project(**edits)["runs"]


# --- lists


def test_a_list_makes_a_run_for_each_value_in_the_place_of_the_section():
    found = runs(runs__adapt__lora={"rank": [8, 16]}, runs__other=ONE)
    assert list(found) == ["adapt.rank8", "adapt.rank16", "other"]
    assert [found[name]["lora"]["rank"] for name in found] == [8, 16, 16]
    assert found["adapt.rank8"] == runs(runs__adapt__lora={"rank": 8})["adapt"], "as if it had been written out"


def test_several_lists_make_a_run_for_each_choice_in_the_order_of_the_schema():
    edits = {"runs__adapt__lora": {"alpha": [16, 32], "rank": [4, 8]}, "runs__adapt__training__batch": [1, 2]}
    found = runs(**edits)
    assert list(found)[:3] == ["adapt.batch1.rank4.alpha16", "adapt.batch1.rank4.alpha32", "adapt.batch1.rank8.alpha16"]
    assert len(found) == 8
    last = found["adapt.batch2.rank8.alpha32"]
    assert (last["training"]["batch"], last["lora"]["rank"], last["lora"]["alpha"]) == (2, 8, 32)


def test_the_order_of_settings_in_the_file_names_nothing_and_one_value_is_a_list_too():
    assert list(runs(runs__adapt__lora={"rank": [8], "alpha": [4]})) == ["adapt.rank8.alpha4"]
    assert list(runs(runs__adapt__lora={"alpha": [4], "rank": [8]})) == ["adapt.rank8.alpha4"]


def test_a_list_stays_a_list_where_the_setting_is_one():
    found = runs(runs__adapt__parts=["prose", "verse"], runs__adapt__lora={"targets": ["q_proj", "v_proj"]})
    assert list(found) == ["adapt"]
    assert found["adapt"]["lora"]["targets"] == ["q_proj", "v_proj"]


def test_what_a_run_begins_with_may_be_a_list_and_a_run_of_a_list_by_its_name():
    found = runs(runs__adapt__lora={"rank": [8, 16]}, runs__next=ONE | {"base": ["small", "adapt.rank16"]})
    assert list(found)[2:] == ["next.base-small", "next.base-adapt.rank16"]
    assert found["next.base-adapt.rank16"]["base"] == "adapt.rank16"


def test_settings_of_a_task_may_be_lists():
    found = runs(models__xlmr=XLMR, runs__mlm=MLM | {"masked": {"share": [0.15, 0.3], "whole_words": [True, False]}})
    assert list(found)[1:] == [
        f"mlm.share{share}.whole_words-{whole}" for share in (0.15, 0.3) for whole in ("true", "false")
    ]


@pytest.mark.parametrize(
    ("key", "value", "name"),
    [
        ("rank", 8, "rank8"),
        ("learning_rate", 1.0e-4, "learning_rate1e-4"),
        ("learning_rate", 0.00015, "learning_rate1.5e-4"),
        ("learning_rate", 0.05, "learning_rate0.05"),
        ("alpha", 32.0, "alpha32"),
        ("steps", 100000, "steps100000"),
        ("dropout", 0, "dropout0"),
        ("schedule", "cosine", "schedule-cosine"),
        ("dora", True, "dora-true"),
        ("steps", None, "steps-none"),
        ("text", "a b/c", "text-a-b-c"),
    ],
)
def test_a_value_has_a_name_that_a_file_can_have(key, value, name):
    assert value_name(key, value) == name


@given(st.floats(1e-12, 1e6), st.floats(1e-12, 1e6))
def test_two_numbers_never_have_one_name(one, other):
    assert (value_name("x", one) == value_name("x", other)) == (one == other)
    assert float(value_name("x", one)[1:]) == one


WRONG = [
    ({"runs__adapt__lora": {"rank": [8, 0]}}, r"runs\.adapt\.lora\.rank\.1: found 0; allowed is 1 or more"),
    ({"runs__adapt__lora": {"rank": [8, "16"]}}, r"lora\.rank\.1: found '16'; allowed is a value of type integer"),
    ({"runs__adapt__lora": {"rank": [[8]]}}, r"lora\.rank\.0: found \[8\]; allowed is a value of type integer"),
    ({"runs__adapt__lora": {"rank": []}}, r"runs\.adapt\.lora\.rank: found \[\]; allowed is at least one entry"),
    ({"runs__adapt__lora": {"rank": [8, 8]}}, r"lora\.rank: found \[8, 8\]; allowed is each entry once"),
    ({"runs__adapt__lora": {"alpha": [8, 8.0]}}, r"lora\.alpha: found \[8, 8\.0\]; allowed is each entry once"),
    ({"runs__adapt__quantisation": ["nf4", "int8"]}, r"quantisation\.1: found 'int8'; allowed is one of nf4, none"),
    ({"runs__adapt__tuning": ["lora", "full"]}, r"tuning: found \['lora', 'full'\]; allowed is one of full, lora"),
    (
        {"runs__adapt__task": ["causal"]},
        r"runs\.adapt\.task: found \['causal'\]; allowed is one of causal, instruct, masked",
    ),
    ({"runs__adapt__dataset": ["text"]}, r"runs\.adapt\.dataset: found \['text'\]; allowed is a value of type string"),
    ({"runs__adapt__folds": [2, 3]}, r"runs\.adapt\.folds: found \[2, 3\]; allowed is a value of type integer"),
    ({"runs__adapt__folds": 1}, r"runs\.adapt\.folds: found 1; allowed is 2 or more"),
    ({"runs__adapt__fold": {"number": 1}}, r"runs\.adapt: unknown key fold"),
    ({"runs__adapt__lora": {"rnak": [8]}}, r"runs\.adapt\.lora: unknown key rnak; allowed are alpha, dora"),
    ({"models__small__training__batch": [1, 2]}, r"models\.small\.training\.batch: found \[1, 2\]; allowed is a value"),
    ({"evaluation__context": [64, 128]}, r"evaluation\.context: found \[64, 128\]; allowed is a value of type"),
    (
        {"runs__adapt__lora": {"rank": [8, 7], "initialisation": "orthogonal"}},
        r"runs\.adapt\.rank7\.lora\.rank: found 7; allowed is an even one",
    ),
    (
        {"runs__adapt__lora": {"rank": [8, 16]}, "runs__next": ONE | {"base": "adapt"}},
        r"runs\.next\.base: found adapt, which is several runs; allowed is one: adapt\.rank8, adapt\.rank16",
    ),
    (
        {"runs__adapt__folds": 2, "runs__next": ONE | {"base": "adapt"}},
        r"runs\.next\.base: found adapt, which is several runs; allowed is one: adapt\.fold1, adapt\.fold2",
    ),
    ({"runs__adapt__base": ["a b", "a-b"]}, r"runs\.adapt: found two values that make a run adapt\.base-a-b; allowed"),
    ({"runs__adapt.rank8": ONE}, r"runs: found 'adapt\.rank8'; allowed is text of the form"),
]


@pytest.mark.parametrize(("edits", "message"), WRONG)
def test_a_list_or_folds_that_cannot_be_meant_are_refused(edits, message):
    with pytest.raises(InputError, match=rf"^config: projects\.bangla\.(\S+\.)?{message}"):
        resolve(small(**edits), SCHEMA)


def test_only_what_has_one_value_in_the_schema_may_have_several():
    run = with_lists(SCHEMA)["$defs"]["run"]
    listed = {key for key, entry in run["properties"].items() if "then" in entry}
    assert listed == {"base", "quantisation"}
    lora = next(b["then"]["properties"]["lora"] for b in run["allOf"] if "lora" in b["then"]["properties"])
    assert {key for key, entry in lora["properties"].items() if "then" not in entry} == {"targets"}
    assert all("then" in entry for entry in run["properties"]["training"]["properties"].values())
    Draft202012Validator.check_schema(with_lists(SCHEMA))


def test_another_value_or_no_folds_leave_the_other_runs_what_they_are():
    """A run is trained again where its section is another."""
    before = runs(runs__adapt__lora={"rank": [8, 16]}, runs__other=ONE | {"folds": 2})
    after = runs(runs__adapt__lora={"rank": [4, 8, 16]}, runs__other=ONE)
    assert before.keys() - after.keys() == {"other.fold1", "other.fold2"}
    assert after.keys() - before.keys() == {"adapt.rank4", "other"}
    kept = before.keys() & after.keys()
    assert {name: before[name] for name in kept} == {name: after[name] for name in kept}


def test_a_key_of_the_command_line_stands_in_place_of_a_list():
    config = small(runs__adapt__lora={"rank": [8, 16]}, runs__adapt__training__steps=[10, 20])
    found = resolve(config | {"lora_rank": 4}, SCHEMA)["projects"]["bangla"]["runs"]
    assert list(found) == ["adapt.steps10", "adapt.steps20"]
    found = resolve(config | {"lora_rank": 4, "num_epochs": 2}, SCHEMA)["projects"]["bangla"]["runs"]
    assert list(found) == ["adapt"]
    assert (found["adapt"]["training"]["steps"], found["adapt"]["lora"]["rank"]) == (None, 4)


def test_a_run_of_a_list_is_exported_by_its_name_and_the_list_is_refused():
    ranks = {"runs__adapt__lora": {"rank": [8, 16]}}
    for found, messages in (
        ("adapt.rank8", []),
        ("adapt", ["exports.runs: found adapt; allowed are the runs of tasks that can be exported: adapt.rank8, "]),
    ):
        complaints = list(export_contradictions(project(**ranks, exports={"runs": [found]})))
        assert [complaint[: len(message)] for complaint, message in zip(complaints, messages, strict=True)] == messages


# --- folds


def test_folds_make_a_run_for_each_and_a_list_folds_for_each_value():
    found = project(runs__adapt__folds=3, runs__adapt__lora={"rank": [8, 16]})
    assert list(found["runs"])[:4] == [
        "adapt.rank8.fold1",
        "adapt.rank8.fold2",
        "adapt.rank8.fold3",
        "adapt.rank16.fold1",
    ]
    assert found["runs"]["adapt.rank16.fold2"]["fold"] == {"run": "adapt.rank16", "number": 2, "of": 3}
    assert "folds" not in found["runs"]["adapt.rank8.fold1"]
    assert folded_runs(found) == {
        f"adapt.rank{rank}": [f"adapt.rank{rank}.fold{n}" for n in (1, 2, 3)] for rank in (8, 16)
    }


def test_runs_with_the_same_parts_and_folds_share_them():
    found = project(
        runs__adapt__folds=2,
        runs__adapt__lora={"rank": [8, 16]},
        runs__whole=ONE | {"base": "large", "parts": ["verse", "prose"], "folds": 2},
        runs__plain=ONE,
    )
    verse, whole = (["text.verse.fold1of2", "text.verse.fold2of2"], ["text.fold1of2", "text.fold2of2"])
    assert list(folds(found)) == [*verse, *whole]
    assert rows_folder(found, found["runs"]["adapt.rank16.fold2"]) == "text.verse.fold2of2"
    assert rows_folder(found, found["runs"]["plain"]) == "text"


@pytest.mark.parametrize(
    ("edits", "found"),
    [
        # What a run before has read, and what a model made here was pretrained on.
        ({"runs__next": ONE | {"base": "adapt", "folds": 2}}, "next.fold1.base: found adapt, since adapt"),
        ({"runs__next": ONE | {"parts": ["prose"], "folds": 2}}, "next.fold1.base: found small, since small"),
        ({"runs__next": ONE | {"base": "best", "parts": ["prose"], "folds": 2}}, "next.fold1.base: found best, since "),
        (
            {
                "models__more": {"kind": "extended", "base": "small", "parts": ["verse"]},
                "runs__next": ONE | {"base": "more", "parts": ["prose"], "folds": 2},
            },
            "next.fold1.base: found more, since small",
        ),
        (
            {"runs__adapt__folds": 2, "runs__next": ONE | {"base": "adapt.fold2", "folds": 2}},
            "next.fold1.base: found adapt.fold2, since adapt.fold2",
        ),
    ],
)
def test_a_base_that_has_read_what_a_fold_holds_out_is_refused(edits, found):
    with pytest.raises(InputError) as caught:
        resolve(small(**edits), SCHEMA)
    assert f"runs.{found}" in str(caught.value)
    assert str(caught.value).endswith("trained on rows that the folds hold out; allowed is what has not read them")


def test_a_base_that_has_read_other_parts_or_nothing_will_do():
    """The scratch model has read prose; a tokenizer alone is nothing that was read."""
    assert list(runs(runs__next=ONE | {"folds": 2}))[1:] == ["next.fold1", "next.fold2"]
    assert "mlm.fold1" in runs(models__xlmr=XLMR, runs__mlm=MLM | {"folds": 2})


# --- what stands in one table


def test_runs_of_one_task_on_one_text_stand_side_by_side():
    found = project(
        models__xlmr=XLMR,
        runs__adapt__lora={"rank": [8, 16]},
        runs__other=ONE | {"parts": ["prose"]},
        runs__mlm=MLM | {"training": ONE["training"] | {"context": [16, 32], "batch": [1, 2]}},
        runs__folded=ONE | {"folds": 2, "lora": {"rank": [2, 4]}},
        runs__three=ONE | {"folds": 3},
    )
    assert side_by_side(found) == [
        {"measure": "bits_per_byte", "runs": ["adapt.rank8", "adapt.rank16", "other"]},
        {"measure": "bits_per_byte", "runs": ["folded.rank2", "folded.rank4", "three"]},
        # Tokens are hidden within a window, so other windows are other questions.
        {"measure": "masked_nll", "runs": ["mlm.context16.batch1", "mlm.context16.batch2"]},
        {"measure": "masked_nll", "runs": ["mlm.context32.batch1", "mlm.context32.batch2"]},
    ]
    assert reported(found)["three"] == ["three.fold1", "three.fold2", "three.fold3"]
    assert reported(found)["other"] == ["other"]
    assert side_by_side(project()) == []


def test_the_page_speaks_of_candidates_where_some_are_compared():
    found = project(models__xlmr=XLMR, runs__mlm=MLM, runs__folded=ONE | {"folds": 2})
    assert entries(found) == [
        {"run": "adapt", "runs": ["adapt"], "page": "Continuations", "candidates": True},
        {"run": "folded", "runs": ["folded.fold1", "folded.fold2"], "page": "Continuations", "candidates": True},
        {"run": "mlm", "runs": ["mlm"], "page": "Fillings", "candidates": False},
    ]
    found["candidates"]["models"] = []  # none is compared, and there is no table
    assert [entry["candidates"] for entry in entries(found)] == [False, False, False]
