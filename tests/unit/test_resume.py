"""A training that is stopped or killed anywhere ends with the bytes it would have had."""

import os
import random
import signal
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from kalam.files.errors import InputError
from kalam.files.jsonl import read_jsonl
from kalam.tasks.causal import Task
from kalam.training import loop
from kalam.training.checkpoints import KEPT, CheckpointFolder
from kalam.training.handout import drop_checkpoints
from kalam.training.loop import Preempted, Progress, train
from kalam.training.recipe import Recipe
from kalam.training.sharding import Learner

RECIPE = Recipe(
    seed=3,
    steps=9,
    learning_rate=1e-2,
    context=16,
    batch=4,
    micro_batch=2,
    warmup=0.2,
    evaluate_every=4,
    save_every=3,
    patience=9,
    precision="fp32",
)
EVALUATION, STEP = 6, 2  # calls of the task's loss in each: 11 windows, and 4, by twos


class Killed(BaseException):
    """What stands for SIGKILL: nothing is saved, nothing is cleared away."""


def kill():
    raise Killed


def terminate():
    signal.raise_signal(signal.SIGTERM)


class Acting(Task):
    """The task, which does something in the middle of call `at` of its loss."""

    def __init__(self, act=None, at: int = 0):
        super().__init__(SimpleNamespace(pad_token_id=0))
        self.act, self.at, self.calls = act, at, 0

    def loss(self, model, batch):
        self.calls += 1
        if self.calls == self.at:
            self.act()
        return super().loss(model, batch)


@pytest.fixture(scope="module")
def go_in(tiny, windows):
    """Train in a folder as a new process would: fresh weights, other random state, other history of signals."""

    def run(folder: Path, task=None, recipe=RECIPE) -> SimpleNamespace:
        torch.manual_seed(random.SystemRandom().getrandbits(32))
        model, store = tiny("xglm", dropout=0.2, attention_dropout=0.1), CheckpointFolder(folder)
        progress = train(Learner(model, recipe.precision), task or Acting(), windows, windows, recipe, store)
        best = store.best.read_bytes()
        return SimpleNamespace(
            progress=progress, weights=model.state_dict(), history=list(read_jsonl(store.history)), best=best
        )

    return run


@pytest.fixture
def go(go_in, tmp_path):
    return lambda folder, *arguments, **more: go_in(tmp_path / folder, *arguments, **more)


@pytest.fixture(scope="module")
def whole(go_in, tmp_path_factory):
    return go_in(tmp_path_factory.mktemp("whole"))


def require_equal(run, whole):
    assert run.history == whole.history
    assert run.progress == whole.progress
    assert run.best == whole.best
    assert all(torch.equal(value, whole.weights[name]) for name, value in run.weights.items())


def steps_of(folder) -> list[str]:
    return sorted(path.name for path in folder.glob("step-*.json"))


def test_the_whole_training_is_what_the_others_are_held_against(whole):
    steps = [(row["step"], "loss" in row) for row in whole.history]
    assert [step for step, trained in steps if trained] == list(range(1, 10))
    assert [step for step, trained in steps if not trained] == [0, 4, 8, 9]
    assert whole.progress.best_step > 0


CALLS = {
    "first evaluation": 3,
    "first step": EVALUATION + 1,
    "between micro-batches": EVALUATION + STEP * 2 + 2,
    "step after a checkpoint": EVALUATION + STEP * 3 + 1,
    "evaluation": EVALUATION + STEP * 4 + 2,
    "end of an evaluation": EVALUATION + STEP * 4 + EVALUATION,
    "last step": 3 * EVALUATION + STEP * 9,
    "last evaluation": 3 * EVALUATION + STEP * 9 + 1,
}


@pytest.mark.parametrize("at", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("act", [terminate, kill], ids=["told to stop", "killed"])
def test_resuming_ends_with_the_same_bytes(go, whole, tmp_path, act, at):
    with pytest.raises((Preempted, Killed)) as end:
        go("cut", Acting(act, at))
    if act is terminate:
        assert end.value.code == 143
        assert steps_of(tmp_path / "cut")  # it saved
    require_equal(go("cut"), whole)


@pytest.mark.parametrize("at", [CALLS["between micro-batches"], CALLS["step after a checkpoint"]])
def test_a_training_by_muon_resumes_with_the_same_bytes(go, at):
    recipe = Recipe(**vars(RECIPE) | {"optimiser": "muon", "weight_decay": 0.1})
    with pytest.raises(Killed):
        go("cut", Acting(kill, at), recipe)
    require_equal(go("cut", recipe=recipe), go("uncut", recipe=recipe))


def test_stopped_in_an_evaluation_then_killed_before_the_next_checkpoint(go, whole):
    recipe = Recipe(**vars(RECIPE) | {"save_every": 100})
    with pytest.raises(Preempted):
        go("cut", Acting(terminate, EVALUATION + STEP * 4 + 2), recipe)
    with pytest.raises(Killed):
        go("cut", Acting(kill, EVALUATION + STEP + 1), recipe)
    require_equal(go("cut", recipe=recipe), whole)


def test_stopped_again_and_again_it_gets_there(go, whole):
    for _ in range(3):
        with pytest.raises(Preempted):
            go("cut", Acting(terminate, EVALUATION + 1))
    require_equal(go("cut"), whole)


def test_a_resumed_training_that_is_over_trains_no_step(go, whole):
    go("over")
    require_equal(go("over", Acting(kill, EVALUATION + 1)), whole)


def test_when_it_was_saved_does_not_count(go, whole):
    other = go("other", recipe=Recipe(**vars(RECIPE) | {"save_every": 1}))
    require_equal(other, whole)


def test_a_signal_at_any_moment_leaves_a_checkpoint_of_the_step_it_names(go, tmp_path, monkeypatch):
    for count in range(2 * EVALUATION + 10):  # as often as it asks

        @contextmanager
        def told_after(_, count=count):
            asked = []
            yield lambda _: len(asked) >= count or asked.append(None)

        monkeypatch.setattr(loop, "told_to_stop", told_after)
        with pytest.raises(Preempted):
            go(f"{count}", recipe=Recipe(**vars(RECIPE) | {"save_every": 100, "evaluate_every": 100}))
        (name,) = steps_of(tmp_path / f"{count}")
        rows = [row["step"] for row in read_jsonl(tmp_path / f"{count}" / "history.jsonl")]
        assert name == f"step-{max(rows, default=0):08d}.json"


def test_the_handlers_of_signals_are_put_back(go):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with pytest.raises(Preempted):
        go("cut", Acting(lambda: os.kill(os.getpid(), signal.SIGINT), 4))
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


DAMAGES = {
    "a flipped bit": lambda weights: flip(weights),
    "half the weights": lambda weights: weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2]),
    "no weights": lambda weights: weights.unlink(),
    "half the state": lambda weights: weights.with_suffix(".json").write_text('{"progress": {"st'),
    "no state": lambda weights: weights.with_suffix(".json").unlink(),
    "a figure of the state": lambda weights: change(weights.with_suffix(".json"), '"tokens": 3', '"tokens": 4'),
    "the history of its last steps": lambda weights: change(weights.parent / "history.jsonl", '"step": 5', '"step": 6'),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_newest_checkpoint_is_passed_over(go, whole, tmp_path, damage, caplog):
    with pytest.raises(Killed):
        go("cut", Acting(kill, 2 * EVALUATION + STEP * 7))
    folder = tmp_path / "cut"
    assert steps_of(folder) == ["step-00000003.json", "step-00000006.json"]
    damage(folder / "step-00000006.safetensors")
    caplog.set_level("INFO")
    require_equal(go("cut"), whole)
    assert "resuming at step 3" in caplog.text
    assert "passing over a damaged checkpoint" in caplog.text or damage is DAMAGES["no state"]


BEST = {
    "a flipped bit": flip,
    "missing": lambda best: best.unlink(),
    "no digest": lambda best: save_file(load_file(best), best),
    "half of it": lambda best: best.write_bytes(best.read_bytes()[: best.stat().st_size // 2]),
}


@pytest.mark.parametrize("damage", BEST.values(), ids=BEST)
def test_without_the_best_weights_a_checkpoint_before_them_is_gone_back_to(go, whole, tmp_path, damage, caplog):
    """The best ones are those of step 4: of the checkpoints, step 3 comes before and step 6 after them."""
    assert whole.progress.best_step > 4
    with pytest.raises(Killed):
        go("cut", Acting(kill, 2 * EVALUATION + STEP * 7))
    damage(tmp_path / "cut" / "best.safetensors")
    caplog.set_level("INFO")
    require_equal(go("cut"), whole)
    assert "passing over a damaged checkpoint, step-00000006: " in caplog.text
    assert "resuming at step 3" in caplog.text


def test_a_kill_while_best_weights_are_written_costs_no_step(go, whole, tmp_path, monkeypatch, caplog):
    """Right before the rename of those of step 8: the ones before, and step 6, are as they were."""
    replace, times = os.replace, []

    def killed(source, target):
        if str(target).endswith("best.safetensors"):
            times.append(target)
            if len(times) == 3:
                raise Killed
        replace(source, target)

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(Killed):
        go("cut")
    monkeypatch.undo()
    caplog.set_level("INFO")
    require_equal(go("cut"), whole)
    assert "resuming at step 6" in caplog.text and "passing over" not in caplog.text


def test_best_weights_that_are_damaged_at_the_end_are_not_taken(go, tmp_path):
    recipe = Recipe(**vars(RECIPE) | {"evaluate_every": 4, "steps": 8})
    last = go("plain", recipe=recipe)
    assert last.progress.best_step == 8
    store = CheckpointFolder(tmp_path / "plain")
    flip(store.best)
    with pytest.raises(InputError, match=r"best.safetensors: its digest is not the one written in it; run again"):
        store.load_best()
    require_equal(go("plain", recipe=recipe), last)


def test_with_every_checkpoint_damaged_it_starts_anew(go, whole, tmp_path):
    with pytest.raises(Killed):
        go("cut", Acting(kill, 2 * EVALUATION + STEP * 7))
    for weights in (tmp_path / "cut").glob("step-*.safetensors"):
        flip(weights)
    require_equal(go("cut"), whole)


def test_a_line_of_the_history_cut_by_a_kill_is_made_again(go, whole, tmp_path):
    with pytest.raises(Killed):
        go("cut", Acting(kill, 2 * EVALUATION + STEP * 8))
    history = tmp_path / "cut" / "history.jsonl"
    history.write_bytes(history.read_bytes()[:-9])
    require_equal(go("cut"), whole)


def test_only_the_newest_checkpoints_stay_until_the_end(go, tmp_path):
    go("whole", recipe=Recipe(**vars(RECIPE) | {"save_every": 1}))
    store = CheckpointFolder(tmp_path / "whole")
    assert steps_of(store.folder) == [f"step-{step:08d}.json" for step in range(10 - KEPT, 10)]
    assert len(list(store.folder.glob("step-*"))) == 2 * KEPT
    drop_checkpoints(store.folder)
    assert sorted(path.name for path in store.folder.iterdir()) == ["best.safetensors", "history.jsonl"]


def test_one_trainer_holds_a_folder_and_clears_what_a_kill_left(tmp_path):
    store, second = CheckpointFolder(tmp_path), CheckpointFolder(tmp_path)
    (tmp_path / ".step-00000003.safetensors.17.tmp").write_bytes(b"half")
    (tmp_path / ".final.17.tmp").mkdir()
    with store.lease():
        assert [path.name for path in tmp_path.iterdir()] == ["lease"]
        with pytest.raises(InputError, match=f"held by another training: process {os.getpid()} on "), second.lease():
            pass
    with second.lease():
        pass


def test_a_state_comes_back_as_it_was(tmp_path):
    store = CheckpointFolder(tmp_path)
    assert store.load() is None
    tensors = {"weight/a": torch.tensor([[0.1, float("inf")]]), "random/cpu": torch.get_rng_state()}
    store.save(4, tensors, {"progress": vars(Progress(step=4, best_loss=float("inf"))), "scaler": {}})
    loaded, state = store.load()
    assert all(torch.equal(loaded[name], value) for name, value in tensors.items())
    assert Progress(**state["progress"]) == Progress(step=4)
    assert state["scaler"] == {}
