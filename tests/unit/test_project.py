"""What follows from a project's section of the configuration."""

import pytest
from test_configuration import MORE, SCHEMA, small

from kalam.configuration.project import compared_models, export_kinds, floor_parts, runs_of
from kalam.configuration.resolve import resolve

HUB = {
    "models": {"large": {"kind": "hub", "repository": "a/b", "revision": "0" * 40}},
    "candidates__parts": ["prose"],
}


def project(**edits) -> dict:
    return resolve(small(**edits), SCHEMA)["projects"]["bangla"]


@pytest.mark.parametrize(
    ("edits", "base", "adapted"),
    [
        ({}, ["prose"], ["prose", "verse"]),  # the scratch model has read prose
        (HUB, ["prose"], ["prose", "verse"]),  # nobody knows: what the run does not read
        (
            {**HUB, "runs__adapt__parts": ["verse", "prose"]},
            ["prose", "verse"],
            ["prose", "verse"],
        ),
    ],
)
def test_a_run_has_two_floors_and_neither_is_of_nothing(edits, base, adapted):
    assert floor_parts(project(**edits), "adapt") == {"floor_base": base, "floor": adapted}


def test_what_a_run_before_has_read_counts_for_the_base():
    again = {"task": "causal", "base": "adapt", "parts": ["verse"], "training": {"steps": 1, "learning_rate": 1e-4}}
    assert floor_parts(project(runs__again=again), "again") == {
        "floor_base": ["prose", "verse"],
        "floor": ["prose", "verse"],
    }


def test_candidates_and_bases_are_compared_once():
    assert compared_models(project(models__more=MORE, candidates__models=["large"], runs__adapt__base="more")) == [
        "large",
        "more",
    ]
    assert compared_models(project()) == ["small", "large"]


def test_what_is_exported_and_which_runs_do_a_task():
    exported = project(**HUB, exports={"runs": ["adapt"], "quantisations": ["q8_0"], "adapter": True})
    assert export_kinds(exported) == ["f32", "q8_0", "adapter"]
    assert (runs_of(exported, "causal"), runs_of(exported, "masked")) == (["adapt"], [])
