"""Several processes train what one would have trained: on this machine, by gloo."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from forking import FORKS, start_python
from lora import LORA

from kalam.files.jsonl import read_json, read_jsonl

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RECIPE = {
    "seed": 1,
    "steps": 4,
    "learning_rate": 1e-2,
    "context": 16,
    "batch": 5,  # not to be shared evenly
    "micro_batch": 2,
    "evaluate_every": 2,
    "save_every": 1,
}


@pytest.fixture(scope="module")
def tokens(stream, tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("tokens")
    for split in ("train", "validation"):
        stream.save(folder / f"{split}.safetensors")
    return {split: str(folder / f"{split}.safetensors") for split in ("train", "validation")}


@pytest.fixture(scope="module")
def base(model_folder):
    return {"model": "tiny", "folder": str(model_folder()), "digest": "d", "remote_code": False, "adapter": None}


@pytest.fixture(scope="module")
def extended(base, tokens, texts, tmp_path_factory):
    """The base with more pieces; the token streams do without them, which changes nothing here."""
    from kalam.files.jsonl import write_json
    from kalam.models.bases import base_of_model
    from kalam.models.extension import extend_model

    write_json(Path(base["folder"]) / "meta.json", {"digest": "d"})
    folder = tmp_path_factory.mktemp("extended")
    extend_model(base["folder"], texts * 2, 20, "AutoModelForCausalLM", folder)
    return base_of_model(folder.name, [folder / "meta.json"])


@pytest.fixture(scope="module")
def go(base, tokens, tmp_path_factory):
    """Adapt a tiny model in so many processes: exit status, history, files, log."""

    def run(tasks, folder=None, function="kalam.training.adapt.adapt", tuning="lora", quantisation="nf4", **changes):
        folder = folder or tmp_path_factory.mktemp("training")
        dropout = changes.pop("dropout", 0.0)
        arguments = {
            "base": changes.pop("other", base),
            "tokens": changes.pop("tokens", tokens),
            "task": changes.pop("task", {"name": "causal", "head": "AutoModelForCausalLM"}),
            "lora": LORA | {"dropout": dropout} if tuning == "lora" else None,
            "quantisation": quantisation,
            "code": "1",
            "checkpoints": str(folder / "checkpoints"),
            "results": str(folder / "results"),
        }
        module, name = function.rsplit(".", 1)
        call = [module, name, tasks, str(folder / "log"), arguments, RECIPE | changes]
        environment = os.environ | {"PYTHONPATH": f"{FORKS}:{ROOT}:{HERE}"}
        with open(folder / "output", "w") as output:
            arguments = [str(HERE / "launching.py"), json.dumps(call)]
            status = start_python(arguments, folder, environment, output).wait()
        history = next(iter((folder / "checkpoints").glob("*/history.jsonl")), None)
        return SimpleNamespace(
            status=status,
            output=(folder / "output").read_text(encoding="utf-8"),
            folder=folder,
            log=(folder / "log").read_text(encoding="utf-8"),
            rows=list(read_jsonl(history)) if history else [],
            files={
                str(p.relative_to(folder / "results")): p.read_bytes()
                for p in (folder / "results").rglob("*")
                if p.is_file()
            },
        )

    return run


def require_alike(run, one):
    """The same losses to 1e-5, and the same files in the results."""
    assert run.status == 0, run.output
    assert len(run.rows) == len(one.rows) > 4
    for row, expected in zip(run.rows, one.rows, strict=True):
        assert row == pytest.approx(expected, abs=1e-5)
    assert run.files.keys() == one.files.keys()


@pytest.fixture(scope="module")
def one(go):
    return go(1)


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_two_processes_adapt_a_quantised_model_as_one_does(go, one, parallel):
    run = go(2, parallel=parallel, function="trouble.watched")
    require_alike(run, one)
    words = {"ddp": "in each of them", "fsdp": "in parts"}[parallel]
    assert f"plan: 2 processes, the model {words}" in run.log
    assert run.log.count("step 4: validation loss") == 1


@pytest.mark.slow
def test_the_parts_of_a_whole_model_are_trained_and_written_whole(go):
    one, run = (go(tasks, tuning="full", quantisation="none", parallel="fsdp") for tasks in (1, 2))
    require_alike(run, one)
    from safetensors.torch import load

    weights, expected = (load(r.files["model/model.safetensors"]) for r in (run, one))
    assert weights.keys() == expected.keys()
    assert all(torch_close(weights[name], expected[name]) for name in weights)


def torch_close(a, b) -> bool:
    import torch

    return torch.allclose(a, b, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("tuning", ["lora", "full"])
def test_parts_of_a_model_and_a_loss_in_chunks(go, one, tuning):
    quantisation = "nf4" if tuning == "lora" else "none"
    expected = one if tuning == "lora" else go(1, tuning=tuning, quantisation=quantisation)
    require_alike(
        go(2, function="trouble.in_chunks", tuning=tuning, quantisation=quantisation, parallel="fsdp"), expected
    )


@pytest.mark.slow
def test_the_rows_of_new_pieces_are_trained_beside_parts_of_a_model(go, extended):
    one, run = (go(tasks, other=extended, parallel="fsdp") for tasks in (1, 2))
    require_alike(run, one)


@pytest.mark.slow
def test_a_masked_model_is_trained_in_parts(go, masked_model, unigram, texts, tmp_path):
    """Its embeddings and its head, which is on top of the model, share their weights."""
    from safetensors.torch import load

    from kalam.models.scratch import save
    from kalam.tasks.masked import Task
    from kalam.training.packing import TokenStream

    save(masked_model(vocabulary=len(unigram)), unigram, tmp_path / "base")
    for split in ("train", "validation"):
        TokenStream.write(tmp_path / split, Task.encode(unigram, [{"text": text} for text in texts]))
    masked = {
        "other": {"model": "tiny", "folder": str(tmp_path / "base"), "digest": "m", "adapter": None},
        "tokens": {split: str(tmp_path / split) for split in ("train", "validation")},
        "task": {"name": "masked", "head": "AutoModelForMaskedLM", "share": 0.3},
        "tuning": "full",
        "quantisation": "none",
    }
    one, run = (go(tasks, parallel="fsdp", **masked) for tasks in (1, 2))
    require_alike(run, one)
    for each in (one, run):
        assert "roberta.embeddings.word_embeddings.weight" in load(each.files["model/model.safetensors"])


@pytest.mark.slow
def test_memory_that_runs_out_after_a_checkpoint_ends_no_training(go, one):
    run = go(2, function="trouble.narrow_later", parallel="fsdp")
    require_alike(run, one)
    assert run.log.count("starting the 2 processes again") == 1


@pytest.mark.parametrize("parallel", ["ddp", pytest.param("fsdp", marks=pytest.mark.slow)])
def test_where_one_process_runs_out_of_memory_all_halve(go, one, parallel):
    run = go(2, function="trouble.narrow", parallel=parallel)
    require_alike(run, one)
    assert read_json(run.folder / "checkpoints" / "memory.json")["micro_batch"] == 1
    assert ("starting the 2 processes again" in run.log) == (parallel == "fsdp")


@pytest.mark.parametrize("parallel", ["ddp", pytest.param("fsdp", marks=pytest.mark.slow)])
def test_a_signal_to_one_process_stops_all_and_nothing_is_lost(go, parallel):
    whole = go(2, dropout=0.3, parallel=parallel)
    cut = go(2, function="trouble.stopped", dropout=0.3, parallel=parallel)
    assert cut.status == 143, cut.output
    assert "told to stop: saved at step" in cut.log
    resumed = go(2, folder=cut.folder, function="trouble.stopped", dropout=0.3, parallel=parallel)
    assert "resuming at step" in resumed.log
    assert resumed.rows == whole.rows
    assert resumed.files == whole.files


def test_another_number_of_processes_goes_on(go, one):
    cut = go(2, function="trouble.stopped")
    assert cut.status == 143, cut.output
    resumed = go(1, folder=cut.folder)
    assert "1 processes go on with what 2 began" in resumed.log
    require_alike(resumed, one)
