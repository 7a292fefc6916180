"""The one training loop: plain, by steps, resumable at any of them with the same result."""

import logging
import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from tqdm import tqdm

from kalam.files.errors import InputError
from kalam.text.tokens import IGNORED
from kalam.training.board import board
from kalam.training.checkpoints import CheckpointFolder
from kalam.training.memory import MicroBatch
from kalam.training.processes import Processes
from kalam.training.recipe import Recipe
from kalam.training.sharding import Learner, on_main, whole
from kalam.training.state import Progress, Training
from kalam.training.task import Batch, Task, batch_to

logger = logging.getLogger(__name__)

TRAINING, VALIDATION = 0, 1  # streams of draws


class Preempted(SystemExit):
    """The training was told to stop and has saved; the process ends with 143, as after SIGTERM."""

    def __init__(self, step: int):
        logger.info("told to stop: saved at step %d, run again to resume", step)
        super().__init__(143)


def train(
    learner: Learner,
    task: Task,
    training: Sequence[dict[str, np.ndarray]],
    validation: Sequence[dict[str, np.ndarray]],
    recipe: Recipe,
    checkpoints: CheckpointFolder,
    micro: MicroBatch | None = None,
) -> Progress:
    """Train the model's trainable parameters; on return they are the best ones on validation.

    `training` and `validation` are windows that `task.collate` makes a batch of. Resumes from the
    folder's last valid checkpoint. Where memory runs out, `micro` halves and the step is repeated.
    Several processes share the windows of each batch, and end with the same weights.
    Raises Preempted (exit status 143) after SIGTERM, with a checkpoint written, and
    FloatingPointError for a loss or a gradient that is no number.
    """
    state = Training(learner, task, recipe, micro or MicroBatch(recipe.micro_batch))
    progress = state.resume(checkpoints)
    checkpoints.truncate_history(progress.step, progress.evaluated)
    started, tokens_before = time.monotonic(), progress.tokens
    hidden = None if state.processes.main else True  # None: where the output is no terminal
    with (
        told_to_stop(state.processes) as stop,
        tqdm(total=recipe.steps, initial=progress.step, unit="step", disable=hidden) as bar,
        board(checkpoints) if recipe.tensorboard and state.processes.main else nullcontext(),
    ):
        while True:
            if progress.evaluation_due(recipe):
                loss = evaluate(state, validation, stop)
                if loss is not None:
                    judge(loss, state, checkpoints)
            stopping = stop(True)  # asked once: a signal between saving and leaving would lose the steps
            if stopping or (progress.step and progress.step % recipe.save_every == 0):
                state.save(checkpoints)
            if stopping:
                state.processes.wait()  # the end of one ends the others: not while the main one writes
                raise Preempted(progress.step)
            if progress.over(recipe):
                break
            row = optimiser_step(state, training)
            checkpoints.append_history(row)
            bar.update()
            bar.set_postfix(loss=f"{row['loss']:.3f}", best=f"{progress.best_loss:.4f}")
    seconds = time.monotonic() - started
    logger.info("%d steps, %.0f tokens/s", progress.step, (progress.tokens - tokens_before) / max(seconds, 1e-9))
    state.processes.wait()
    state.load_weights(load_file(checkpoints.best))
    return progress


def optimiser_step(state: Training, windows: Sequence[dict[str, np.ndarray]]) -> dict[str, Any]:
    """One update from one batch, accumulated over micro-batches; the loss is the mean over its labels."""
    recipe, progress, parameters = state.recipe, state.progress, list(state.parameters.values())
    state.learner.train()
    rate = recipe.rate(progress.step)
    for group in state.optimiser.param_groups:
        group["lr"] = rate
    positions = range(progress.step * recipe.batch, (progress.step + 1) * recipe.batch)
    examples = [windows[i] for i in shuffled(positions, len(windows), recipe.seed)]
    draws = [(recipe.seed, TRAINING, position) for position in positions]
    loss, count = state.micro.fit(lambda size: gradient(state, examples, draws, size))
    (total,) = state.processes.sum(loss)
    if not state.learner.sharded:  # else added up on the way
        state.processes.add_gradients(parameters)
    state.scaler.unscale_(state.optimiser)
    norm = float(whole(torch.nn.utils.clip_grad_norm_(parameters, recipe.gradient_clip)))
    # A gradient scaler skips the step of a gradient that overflowed; without one it would spoil the weights.
    require_finite("loss", total, progress.step)
    if not state.scaler.is_enabled():
        require_finite("norm of the gradient", norm, progress.step)
    if progress.step == 1:  # at step 0 LoRA's first matrix has none, since its second is zero
        require_gradients(state.parameters)
    state.scaler.step(state.optimiser)
    state.scaler.update()
    state.optimiser.zero_grad()
    progress.step += 1
    progress.tokens += count
    return {
        "step": progress.step,
        "tokens": progress.tokens,
        "loss": total / count,
        "learning_rate": rate,
        "gradient_norm": norm,
    }


def gradient(state: Training, examples, draws, size: int) -> tuple[float, int]:
    """Accumulate the gradient of a batch, `size` windows at a time.

    Gives the summed loss of this process's share, and the number of labels of the whole batch.
    """
    state.optimiser.zero_grad()
    batches = list(micro_batches(state.task, examples, draws, size, state.processes))
    count = int(state.processes.sum(sum(state.task.count(batch) for batch in batches))[0])
    if not count:
        raise InputError("a batch without a label: there is nothing to learn from it")
    total = 0.0
    for batch in batches:
        loss, _ = state.learner(state.task.loss, batch_to(batch, state.learner.device))
        state.scaler.scale(loss / count).backward()
        total += loss.item()
    return total, count


def evaluate(state: Training, windows, stop: Callable[[bool], bool]) -> float | None:
    """Mean negative log-likelihood per label in nats over all windows; None when told to stop on the way."""
    state.learner.eval()
    draws = [(state.recipe.seed, VALIDATION, position) for position in range(len(windows))]

    def part(size: int) -> tuple[float, int] | None:
        total, count = 0.0, 0
        for batch in micro_batches(state.task, windows, draws, size, state.processes):
            # Where each process is for itself, one that runs out of memory must find the others after this loop.
            if stop(state.learner.sharded):
                return None
            loss, labels = state.learner(state.task.loss, batch_to(batch, state.learner.device))
            total, count = total + loss.item(), count + int(labels)
        return total, count

    with torch.no_grad():
        found = state.micro.fit(part)
    if state.processes.any(found is None):
        return None
    total, count = state.processes.sum(*found)
    return total / max(count, 1)


def judge(loss: float, state: Training, checkpoints: CheckpointFolder) -> None:
    """Record an evaluation; keep the weights where it is the best so far, count where it is not."""
    progress = state.progress
    require_finite("validation loss", loss, progress.step)
    progress.evaluated = progress.step
    better = loss < progress.best_loss
    if better:
        progress.best_loss, progress.best_step, progress.worse = loss, progress.step, 0
        checkpoints.keep_best({name: on_main(p) for name, p in state.parameters.items()})
    else:
        progress.worse += 1
    checkpoints.append_history({"step": progress.step, "tokens": progress.tokens, "validation_loss": loss})
    logger.info("step %d: validation loss %.4f%s", progress.step, loss, " (best)" if better else "")


def require_finite(name: str, value: float, step: int) -> None:
    if not math.isfinite(value):
        raise FloatingPointError(f"step {step}: the {name} is {value}; lower the learning rate or raise the precision")


def require_gradients(trainable: dict[str, torch.nn.Parameter]) -> None:
    """Raise InputError for trainable weights that the loss does not depend on; name those with a gradient of 0."""
    if cut_off := [name for name, p in trainable.items() if p.grad is None]:
        raise InputError(f"no gradient reaches {len(cut_off)} of {len(trainable)} trainable weights: {cut_off[0]}")
    if still := [name for name, p in trainable.items() if not whole(p.grad).any()]:
        logger.warning("the gradient of %d trainable weights is 0: %s", len(still), still[0])


def shuffled(positions: Sequence[int], count: int, seed: int) -> list[int]:
    """The windows at some positions of all that is read: epoch after epoch of seeded permutations of `count`."""
    orders = {
        epoch: np.random.default_rng([seed, epoch]).permutation(count) for epoch in {p // count for p in positions}
    }
    return [int(orders[p // count][p % count]) for p in positions]


def micro_batches(task: Task, windows, draws, size: int, processes: Processes) -> Iterator[Batch]:
    """This process's share of the windows, `size` at a time.

    All processes have equally many; where windows lack, others stand in without a label.
    """
    count = len(windows)
    for begin in range(0, -(-count // processes.count), size):
        end = min(begin + size, -(-count // processes.count))
        here = [place * processes.count + processes.index for place in range(begin, end)]
        batch = task.collate([windows[i % count] for i in here], [draws[i % count] for i in here])
        batch["labels"][[i >= count for i in here]] = IGNORED
        yield batch


@contextmanager
def told_to_stop(processes: Processes) -> Iterator[Callable[[bool], bool]]:
    """A function that says whether SIGTERM or SIGINT has come since the block began: to any process if
    they ask `together`, else to this one."""
    came = []
    old = {number: signal.signal(number, lambda *_: came.append(True)) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda together: processes.any(bool(came)) if together else bool(came)
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
