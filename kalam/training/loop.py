"""The one training loop: plain, by steps, resumable at any of them with the same result."""

import logging
import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from tqdm import tqdm

from kalam.files.errors import InputError
from kalam.training.checkpoints import CheckpointFolder, save_tensors
from kalam.training.memory import MicroBatch
from kalam.training.precision import mixed_precision
from kalam.training.recipe import Recipe
from kalam.training.task import Batch, Task, batch_to

logger = logging.getLogger(__name__)

TRAINING, VALIDATION = 0, 1  # streams of draws


class Preempted(SystemExit):
    """The training was told to stop and has saved; the process ends with 143, as after SIGTERM."""

    def __init__(self, step: int):
        logger.info("told to stop: saved at step %d, run again to resume", step)
        super().__init__(143)


@dataclass
class Progress:
    """Where a training stands; with weights, optimiser and random states all that a resumption needs."""

    step: int = 0
    tokens: int = 0
    evaluated: int = -1
    best_loss: float = float("inf")
    best_step: int = -1
    worse: int = 0

    def over(self, recipe: Recipe) -> bool:
        return self.step >= recipe.steps or self.worse >= recipe.patience

    def evaluation_due(self, recipe: Recipe) -> bool:
        return self.evaluated < self.step and (self.step % recipe.evaluate_every == 0 or self.step == recipe.steps)


class Objective(torch.nn.Module):
    """A model and its task as one module, from a batch to the summed loss and the number of labels."""

    def __init__(self, model: torch.nn.Module, task: Task):
        super().__init__()
        self.model, self.task = model, task

    def forward(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        return self.task.loss(self.model, batch)


def train(
    model: torch.nn.Module,
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
    Raises Preempted (exit status 143) after SIGTERM, with a checkpoint written, and
    FloatingPointError for a loss or a gradient that is no number.
    """
    micro = micro or MicroBatch(recipe.micro_batch)
    accelerator = Accelerator(mixed_precision=mixed_precision(recipe.precision))
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    optimiser = torch.optim.AdamW(
        [
            {"params": [p for p in parameters.values() if p.ndim > 1], "weight_decay": recipe.weight_decay},
            {"params": [p for p in parameters.values() if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=recipe.learning_rate,
        betas=(0.9, recipe.beta2),
        fused=True,
    )
    objective, optimiser = accelerator.prepare(Objective(model, task), optimiser)
    torch.manual_seed(recipe.seed)
    progress = resume(checkpoints, parameters, optimiser, accelerator, micro) or Progress()
    checkpoints.truncate_history(progress.step, progress.evaluated)
    started, tokens_before = time.monotonic(), progress.tokens
    with told_to_stop() as stop, tqdm(total=recipe.steps, initial=progress.step, unit="step", disable=None) as bar:
        while True:
            if progress.evaluation_due(recipe):
                loss = evaluate(accelerator, objective, validation, recipe.seed, micro, stop)
                if loss is not None:
                    judge(loss, progress, parameters, checkpoints)
            stopping = stop()  # asked once: a signal between saving and leaving would lose the steps
            if stopping or (progress.step and progress.step % recipe.save_every == 0):
                save(checkpoints, progress, parameters, optimiser, accelerator, micro)
            if stopping:
                raise Preempted(progress.step)
            if progress.over(recipe):
                break
            row = optimiser_step(accelerator, objective, optimiser, training, recipe, progress, micro)
            checkpoints.append_history(row)
            bar.update()
            bar.set_postfix(loss=f"{row['loss']:.3f}", best=f"{progress.best_loss:.4f}")
    seconds = time.monotonic() - started
    logger.info("%d steps, %.0f tokens/s", progress.step, (progress.tokens - tokens_before) / max(seconds, 1e-9))
    load_weights(parameters, load_file(checkpoints.best))
    return progress


def optimiser_step(
    accelerator, objective, optimiser, training, recipe: Recipe, progress: Progress, micro: MicroBatch
) -> dict[str, Any]:
    """One update from one batch, accumulated over micro-batches; the loss is the mean over its labels."""
    objective.train()
    rate = recipe.rate(progress.step)
    for group in optimiser.param_groups:
        group["lr"] = rate
    positions = range(progress.step * recipe.batch, (progress.step + 1) * recipe.batch)
    examples = [training[i] for i in shuffled(positions, len(training), recipe.seed)]
    draws = [(recipe.seed, TRAINING, position) for position in positions]
    total, count = micro.fit(lambda size: gradient(accelerator, objective, optimiser, examples, draws, size))
    norm = accelerator.clip_grad_norm_(objective.parameters(), recipe.gradient_clip)
    # A gradient scaler skips the step of a gradient that overflowed; without one it would spoil the weights.
    require_finite("loss", total, progress.step)
    if accelerator.scaler is None:
        require_finite("norm of the gradient", float(norm), progress.step)
    if progress.step == 1:  # at step 0 LoRA's first matrix has none, since its second is zero
        require_gradients(objective)
    optimiser.step()
    optimiser.zero_grad()
    progress.step += 1
    progress.tokens += count
    return {
        "step": progress.step,
        "tokens": progress.tokens,
        "loss": total / count,
        "learning_rate": rate,
        "gradient_norm": float(norm),
    }


def gradient(accelerator, objective, optimiser, examples, draws, size: int) -> tuple[float, int]:
    """Accumulate the gradient of a batch, `size` windows at a time; the summed loss and the number of labels."""
    optimiser.zero_grad()
    task = objective.task
    batches = list(micro_batches(task, examples, draws, size))
    count = sum(task.count(batch) for batch in batches)
    if not count:
        raise InputError("a batch without a label: there is nothing to learn from it")
    total = 0.0
    for batch in batches:
        loss, _ = objective(batch_to(batch, accelerator.device))
        accelerator.backward(loss / count)
        total += loss.item()
    return total, count


def evaluate(accelerator, objective, windows, seed: int, micro: MicroBatch, stop: Callable[[], bool]) -> float | None:
    """Mean negative log-likelihood per label in nats over all windows; None when told to stop on the way."""
    objective.eval()
    draws = [(seed, VALIDATION, position) for position in range(len(windows))]

    def whole(size: int) -> float | None:
        total, count = 0.0, 0
        for batch in micro_batches(objective.task, windows, draws, size):
            if stop():
                return None
            loss, labels = objective(batch_to(batch, accelerator.device))
            total, count = total + loss.item(), count + int(labels)
        return total / max(count, 1)

    with torch.no_grad():
        return micro.fit(whole)


def judge(loss: float, progress: Progress, parameters, checkpoints: CheckpointFolder) -> None:
    """Record an evaluation; keep the weights where it is the best so far, count where it is not."""
    require_finite("validation loss", loss, progress.step)
    progress.evaluated = progress.step
    better = loss < progress.best_loss
    if better:
        progress.best_loss, progress.best_step, progress.worse = loss, progress.step, 0
        save_tensors(checkpoints.best, parameters)
    else:
        progress.worse += 1
    checkpoints.append_history({"step": progress.step, "tokens": progress.tokens, "validation_loss": loss})
    logger.info("step %d: validation loss %.4f%s", progress.step, loss, " (best)" if better else "")


def require_finite(name: str, value: float, step: int) -> None:
    if not math.isfinite(value):
        raise FloatingPointError(f"step {step}: the {name} is {value}; lower the learning rate or raise the precision")


def require_gradients(objective: Objective) -> None:
    """Raise InputError for trainable weights that the loss does not depend on; name those with a gradient of 0."""
    trainable = {name: p for name, p in objective.model.named_parameters() if p.requires_grad}
    if cut_off := [name for name, p in trainable.items() if p.grad is None]:
        raise InputError(f"no gradient reaches {len(cut_off)} of {len(trainable)} trainable weights: {cut_off[0]}")
    if still := [name for name, p in trainable.items() if not p.grad.any()]:
        logger.warning("the gradient of %d trainable weights is 0: %s", len(still), still[0])


def shuffled(positions: Sequence[int], count: int, seed: int) -> list[int]:
    """The windows at some positions of all that is read: epoch after epoch of seeded permutations of `count`."""
    orders = {
        epoch: np.random.default_rng([seed, epoch]).permutation(count) for epoch in {p // count for p in positions}
    }
    return [int(orders[p // count][p % count]) for p in positions]


def micro_batches(task: Task, windows, draws, size: int) -> Iterator[Batch]:
    for begin in range(0, len(windows), size):
        here = range(begin, min(begin + size, len(windows)))
        yield task.collate([windows[i] for i in here], [draws[i] for i in here])


def save(
    checkpoints: CheckpointFolder, progress: Progress, parameters, optimiser, accelerator, micro: MicroBatch
) -> None:
    """Write weights, optimiser state, random states, scaler, progress and the micro-batch."""
    tensors = {f"weight/{name}": p for name, p in parameters.items()}
    for name, p in parameters.items():
        for key, value in optimiser.state.get(p, {}).items():
            tensors[f"optimiser/{key}/{name}"] = value
    tensors["random/cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random/cuda"] = torch.cuda.get_rng_state()
    scaler = accelerator.scaler.state_dict() if accelerator.scaler else {}
    state = {"progress": asdict(progress), "scaler": scaler, "micro_batch": micro.size}
    checkpoints.save(progress.step, tensors, state)


def resume(checkpoints: CheckpointFolder, parameters, optimiser, accelerator, micro: MicroBatch) -> Progress | None:
    """Put everything back as `save` found it; None where there is no valid checkpoint."""
    found = checkpoints.load()
    if found is None:
        return None
    tensors, state = found
    load_weights(parameters, {n: tensors[f"weight/{n}"] for n in parameters})
    for name, p in parameters.items():
        for key in ("step", "exp_avg", "exp_avg_sq"):
            value = tensors.get(f"optimiser/{key}/{name}")
            if value is not None:
                optimiser.state[p][key] = value.to(p.device)
    torch.set_rng_state(tensors["random/cpu"])
    if torch.cuda.is_available() and "random/cuda" in tensors:
        torch.cuda.set_rng_state(tensors["random/cuda"])
    if accelerator.scaler and state["scaler"]:
        accelerator.scaler.load_state_dict(state["scaler"])
    micro.go_on_with(state["micro_batch"])
    progress = Progress(**state["progress"])
    logger.info("resuming at step %d", progress.step)
    return progress


def load_weights(parameters: dict[str, torch.nn.Parameter], weights: dict[str, torch.Tensor]) -> None:
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(weights[name])


@contextmanager
def told_to_stop() -> Iterator[Callable[[], bool]]:
    """A function that says whether SIGTERM or SIGINT has come since the block began."""
    came = []
    old = {number: signal.signal(number, lambda *_: came.append(True)) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
