"""Rows cut into shards: as many jobs as the configuration says, the same files, nothing trained again."""

import pytest
from pipeline import ADAPTER, RESULTS

SHARDS = 3
HANDED_OUT = "handing it out without a step"


@pytest.mark.slow
def test_in_shards_the_files_are_the_same_and_nothing_is_trained(finished, finished_copy):
    project = finished_copy
    with project.changed() as section:
        section["datasets"]["text"]["shards"] = SHARDS
    jobs = project.run(ADAPTER).jobs
    assert (jobs["clean_shard"], jobs["gather"]) == (3 * SHARDS, 3)
    assert (jobs["tokenise_model_shard"], jobs["gather_model"], jobs["learn_tokenizer"]) == (2 * SHARDS, 2, 2)
    assert (jobs["tokenise_run_shard"], jobs["gather_run"]) == (SHARDS, 1)
    assert not jobs.keys() & {"collect", "clean", "tokenise_model", "tokenise_run"}
    for log in ("pretrain/llama.log", "pretrain/xglm.log", "train_run/adapt.log"):
        assert HANDED_OUT in project.log(log)
    assert project.digests() == finished.digests()
    assert project.plan().jobs.keys() <= {"ppl"}, "more than putting the same tables together"


def test_as_many_jobs_are_planned_as_the_dataset_has_shards(finished_copy):
    with finished_copy.changed() as section:
        section["datasets"]["text"]["shards"] = 540
    jobs = finished_copy.plan(RESULTS / "data/text/clean/everyday.jsonl").jobs
    assert jobs == {"clean_shard": 540, "gather": 1}
