"""Where memory runs out, the same step is done with fewer windows at a time."""

import json
from types import SimpleNamespace

import pytest
import torch

from kalam.files.errors import InputError
from kalam.files.jsonl import read_jsonl
from kalam.tasks.causal import Task
from kalam.training.checkpoints import CheckpointFolder
from kalam.training.loop import train
from kalam.training.memory import MicroBatch
from kalam.training.recipe import Recipe
from kalam.training.sharding import Learner

RECIPE = Recipe(seed=3, steps=6, learning_rate=1e-2, context=16, batch=8, micro_batch=8, evaluate_every=3, save_every=2)
MESSAGE = "CUDA out of memory. Tried to allocate 2.00 GiB."


class Small(Task):
    """The task on a device that holds `room` windows at once, from call `since` of its loss on."""

    def __init__(self, room: int, since: int = 0):
        super().__init__(SimpleNamespace(pad_token_id=0))
        self.room, self.since, self.calls, self.sizes = room, since, 0, []

    def loss(self, model, batch):
        self.calls += 1
        self.sizes.append(len(batch["labels"]))
        result = super().loss(model, batch)  # it draws random numbers and builds a graph before it fails
        if self.calls >= self.since and len(batch["labels"]) > self.room:
            raise torch.OutOfMemoryError(MESSAGE)
        return result


@pytest.fixture(scope="module")
def go(tiny, windows, tmp_path_factory):
    def run(task, dropout=0.0):
        model = tiny("xglm", dropout=dropout, attention_dropout=0.0)
        store = CheckpointFolder(tmp_path_factory.mktemp("training"))
        micro = MicroBatch(RECIPE.micro_batch)
        train(Learner(model, "fp32"), task, windows, windows, RECIPE, store, micro)
        return SimpleNamespace(rows=list(read_jsonl(store.history)), micro=micro, weights=model.state_dict())

    return run


@pytest.fixture(scope="module")
def whole(go):
    return go(Small(99))


@pytest.mark.parametrize(("room", "since"), [(4, 0), (1, 0), (2, 4), (3, 7)])
def test_the_losses_are_those_of_an_undisturbed_training(go, whole, room, since):
    task = Small(room, since)
    run = go(task)
    assert run.micro.size == 2 ** (room.bit_length() - 1)
    assert [row.keys() for row in run.rows] == [row.keys() for row in whole.rows]
    for row, expected in zip(run.rows, whole.rows, strict=True):
        assert row == pytest.approx(expected, abs=1e-5)
    assert max(task.sizes[-12:]) <= room


def test_a_step_that_is_repeated_draws_the_same_dropout(go):
    """It fails on its second half; the first has drawn already."""
    run, other = (go(Small(room, since), dropout=0.2) for room, since in ((4, 0), (4, 5)))
    steps = {row["step"]: row["loss"] for row in run.rows if "loss" in row}
    again = {row["step"]: row["loss"] for row in other.rows if "loss" in row}
    assert steps.keys() == again.keys()
    first = max(step for step in again if step <= 2)
    assert again[first] != steps[first]  # it was whole then
    assert len(set(again.values())) == len(again)


def test_one_window_that_does_not_fit_is_said_in_one_line(go):
    with pytest.raises(InputError, match=r"one window does not fit into memory \(CUDA out of memory") as error:
        go(Small(0))
    assert "\n" not in str(error.value)


def test_another_error_is_no_lack_of_memory(go):
    class Broken(Task):
        def loss(self, model, batch):
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        go(Broken(SimpleNamespace(pad_token_id=0)))


def fail_above(size: int):
    def work(given: int) -> int:
        if given > size:
            raise RuntimeError(
                "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
            )
        return given

    return work


def test_what_was_found_is_kept_for_the_next_training_of_the_kind(tmp_path):
    file, key = tmp_path / "memory.json", {"context": 512}
    assert MicroBatch(8, file, key).fit(fail_above(3)) == 2
    assert json.loads(file.read_text()) == {"key": {"context": 512, "device": "cpu"}, "micro_batch": 2}
    assert MicroBatch(8, file, key).size == 2
    assert MicroBatch(1, file, key).size == 1
    assert MicroBatch(8, file, {"context": 256}).size == 8


def test_the_random_state_is_put_back():
    drawn = []

    def work(size: int) -> None:
        drawn.append(float(torch.rand(1)))
        fail_above(2)(size)

    torch.manual_seed(1)
    MicroBatch(8).fit(work)
    assert len(drawn) == 3
    assert len(set(drawn)) == 1


def test_a_resumed_training_goes_on_with_the_size_it_had():
    """With dropout it decides the result; but one who asks for less gets less."""
    micro = MicroBatch(8)
    micro.size = 2
    micro.resume_with(4)
    assert micro.size == 4
    micro.resume_with(16)
    assert micro.size == 8
