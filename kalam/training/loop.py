"""The one training loop: plain, by steps, resumable at any of them with the same result."""

import logging
import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from tqdm import tqdm

from kalam.files.errors import InputError
from kalam.models.architecture import routes
from kalam.training.board import board
from kalam.training.checkpoints import CheckpointFolder
from kalam.training.examples import Draw, Examples
from kalam.training.feed import Feed, Part, shuffled
from kalam.training.memory import MicroBatch
from kalam.training.processes import Processes
from kalam.training.recipe import Recipe
from kalam.training.sharding import Learner, on_main, whole
from kalam.training.state import Progress, Training
from kalam.training.task import Task, batch_to

logger = logging.getLogger(__name__)

TRAINING, VALIDATION = 0, 1  # streams of draws
ROUTED_STEPS = 50  # in so many even an expert that is rarely asked has had a token


class Preempted(SystemExit):
    """The training was told to stop and has saved; the process ends with 143, as after SIGTERM."""

    def __init__(self, step: int):
        logger.info("told to stop: saved at step %d, run again to resume", step)
        super().__init__(143)


def train(
    learner: Learner,
    task: Task,
    training: Examples,
    validation: Examples,
    recipe: Recipe,
    checkpoints: CheckpointFolder,
    micro: MicroBatch | None = None,
) -> Progress:
    """Train the model's trainable parameters; on return they are the best ones on validation.

    `task.collate` makes batches of the examples in `training` and `validation`. Resumes from the
    folder's last valid checkpoint. Where memory runs out, `micro` halves and the step is repeated.
    Several processes share the examples of each batch, and end with the same weights.
    Raises Preempted (exit status 143) after SIGTERM, with a checkpoint written, InputError for weights that
    no gradient reaches, and FloatingPointError for a loss or a gradient that is no number.
    """
    state = Training(learner, task, recipe, micro or MicroBatch(recipe.micro_batch))
    progress = state.resume(checkpoints)
    learnt_from, judged_by = (Feed(task, examples, state.processes) for examples in (training, validation))
    checkpoints.truncate_history()
    started, tokens_before = time.monotonic(), progress.tokens
    hidden = None if state.processes.main else True  # None: where the output is no terminal
    with (
        told_to_stop(state.processes) as stop,
        tqdm(total=recipe.steps, initial=progress.step, unit="step", disable=hidden) as bar,
        board(checkpoints) if recipe.tensorboard and state.processes.main else nullcontext(),
    ):
        while True:
            if progress.evaluation_due(recipe):
                loss = evaluate(state, judged_by, stop)
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
            row = optimiser_step(state, learnt_from)
            checkpoints.append_history(row)
            bar.update()
            bar.set_postfix(loss=f"{row['loss']:.3f}", best=f"{progress.best_loss:.4f}")
    seconds = time.monotonic() - started
    logger.info("%d steps, %.0f tokens/s", progress.step, (progress.tokens - tokens_before) / max(seconds, 1e-9))
    state.processes.wait()
    state.load_weights(checkpoints.load_best())
    return progress


def optimiser_step(state: Training, feed: Feed) -> dict[str, Any]:
    """One update from one batch, accumulated over micro-batches; the loss is the mean over its labels."""
    recipe, progress, parameters = state.recipe, state.progress, list(state.parameters.values())
    state.learner.train()
    rate = recipe.rate(progress.step)
    for optimiser in state.optimisers:
        for group in optimiser.param_groups:
            group["lr"] = rate
    count = feed.labels(*batch_of(progress.step, feed, recipe))
    if not count:
        raise InputError("a batch without a label: there is nothing to learn from it")
    loss = state.micro.fit(lambda size: gradient(state, feed, size, count))
    (total,) = state.processes.sum(loss)
    if not state.learner.sharded:  # else added up on the way
        state.processes.add_gradients(parameters)
    for optimiser in state.optimisers:
        state.scaler.unscale_(optimiser)
    norm = float(whole(torch.nn.utils.clip_grad_norm_(parameters, recipe.gradient_clip)))
    # A gradient scaler skips the step of a gradient that overflowed; without one it would spoil the weights.
    require_finite("loss", total, progress.step)
    if not state.scaler.is_enabled():
        require_finite("norm of the gradient", norm, progress.step)
    require_gradients(state)
    for optimiser in state.optimisers:
        state.scaler.step(optimiser)
    state.scaler.update()
    state.zero_gradients()
    progress.step += 1
    progress.tokens += count
    return {
        "step": progress.step,
        "tokens": progress.tokens,
        "loss": total / count,
        "learning_rate": rate,
        "gradient_norm": norm,
    }


def batch_of(step: int, feed: Feed, recipe: Recipe) -> tuple[list[int], list[Draw]]:
    """The examples of a step, and what each draws from."""
    positions = range(step * recipe.batch, (step + 1) * recipe.batch)
    return shuffled(positions, len(feed), recipe.seed), [(recipe.seed, TRAINING, position) for position in positions]


def parts_of(step: int, feed: Feed, recipe: Recipe, size: int) -> list[Part]:
    """The micro-batches of a step, of at most `size` times the context in tokens each."""
    return feed.parts(*batch_of(step, feed, recipe), size * recipe.context)


def gradient(state: Training, feed: Feed, size: int, count: int) -> float:
    """Accumulate the gradient of a batch of `count` labels; gives the summed loss of this process's share."""
    state.zero_gradients()
    step, recipe = state.progress.step, state.recipe
    following = parts_of(step + 1, feed, recipe, size)[0] if step + 1 < recipe.steps else None
    total = 0.0
    for batch in feed.batches(parts_of(step, feed, recipe, size), following):
        loss, _ = state.learner(state.task.loss, batch_to(batch, state.learner.device))
        state.scaler.scale(loss / count).backward()
        total += loss.item()
    return total


def evaluate(state: Training, feed: Feed, stop: Callable[[bool], bool]) -> float | None:
    """Mean negative log-likelihood per label in nats over all examples; None when told to stop on the way."""
    state.learner.eval()
    draws = [(state.recipe.seed, VALIDATION, position) for position in range(len(feed))]

    def part(size: int) -> tuple[float, int] | None:
        total, count = 0.0, 0
        for batch in feed.batches(feed.parts(range(len(feed)), draws, size * state.recipe.context)):
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


def require_gradients(state: Training) -> None:
    """Raise InputError for trainable weights that no gradient has reached in so many steps; name those with one of 0.

    An architecture that routes may leave some out of a step, in any other the loss depends on all of them.
    """
    progress, trainable = state.progress, state.parameters
    if progress.unreached != []:
        before = trainable if progress.unreached is None else progress.unreached
        progress.unreached = [name for name in before if trainable[name].grad is None]
    steps = ROUTED_STEPS if routes(state.learner.model.config) else 2
    if progress.unreached and progress.step + 1 == steps:
        found, of = progress.unreached, len(trainable)
        raise InputError(f"no gradient reaches {len(found)} of {of} trainable weights: {found[0]} (in {steps} steps)")
    if progress.step != 1:  # at step 0 LoRA's first matrix has one of 0, since its second is zero
        return
    reached = {name: p.grad for name, p in trainable.items() if p.grad is not None}
    if still := [name for name, gradient in reached.items() if not whole(gradient).any()]:
        logger.warning("the gradient of %d trainable weights is 0: %s", len(still), still[0])


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
