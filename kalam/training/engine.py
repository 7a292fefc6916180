"""What every training goes through before and after the loop: probes, plan, outcome."""

import logging
from typing import Any

import torch

from kalam.files.errors import InputError
from kalam.models.positions import require_positions
from kalam.training.checkpoints import CheckpointFolder
from kalam.training.loop import train
from kalam.training.memory import MicroBatch
from kalam.training.packing import TokenStream
from kalam.training.plan import announce
from kalam.training.probes import probe
from kalam.training.processes import Processes
from kalam.training.recipe import Recipe
from kalam.training.sharding import Learner, is_sharded
from kalam.training.task import Task

logger = logging.getLogger(__name__)


def fit(
    model: torch.nn.Module, task: Task, tokens: dict[str, str], recipe: Recipe, store: CheckpointFolder
) -> dict[str, Any]:
    """Train the model's trainable weights on packed token streams, with checkpoints in `store`.

    They end as the best ones on validation. Returns the outcome: steps, best step, best validation loss
    (nats per label), labels seen. What was learnt of the memory is kept beside `store`, for the next
    training of this run.
    Raises InputError for an architecture whose packed documents see one another.
    """
    windows = {split: task.examples(TokenStream.load(path), recipe.context) for split, path in tokens.items()}
    for split, packed in windows.items():
        if not packed.targets:
            raise InputError(f"{tokens[split]}: no token to predict; the {split} split of its registers is empty")
    require_positions(model, recipe.context)
    recipe = recipe.for_windows(len(windows["train"]))
    processes, sharded = Processes(), is_sharded(recipe)
    if sharded and recipe.precision == "fp16":
        raise InputError("training.precision: fp16; allowed with fsdp are bf16 and fp32")
    key = memory_key(model, recipe, processes.count if sharded else 1)
    size = min(recipe.micro_batch, -(-recipe.batch // processes.count))
    micro = MicroBatch(size, store.folder.parent / "memory.json", key, sharded)
    learner = Learner(model, recipe.precision, sharded)
    learner(probe, task)
    announce(learner, task, windows["train"], recipe, micro)
    progress = train(learner, task, windows["train"], windows["validation"], recipe, store, micro)
    logger.info("best validation loss %.4f at step %d of %d", progress.best_loss, progress.best_step, progress.step)
    if progress.best_step == 0:
        logger.warning("no step was better on the validation split than what it began with, which is kept")
    return {
        "steps": progress.step,
        "best_step": progress.best_step,
        "validation_loss": progress.best_loss,
        "tokens": progress.tokens,
    }


def memory_key(model: torch.nn.Module, recipe: Recipe, parts: int) -> dict[str, Any]:
    """What decides the memory of one window, of a model in so many parts."""
    settings = {key: getattr(recipe, key) for key in ("context", "precision", "gradient_checkpointing")}
    trainable = sum(p.nbytes for p in model.parameters() if p.requires_grad)
    weights = sum(p.nbytes for p in model.parameters())
    return {**settings, "weights": weights, "trainable": trainable, "parts": parts}
