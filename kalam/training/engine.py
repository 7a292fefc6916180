"""What every training goes through before and after the loop: probes, plan, outcome."""

import logging
from typing import Any

import torch

from kalam.files.errors import InputError
from kalam.models.positions import require_positions
from kalam.training.checkpoints import CheckpointFolder
from kalam.training.examples import Examples
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
    """Train the model's trainable weights on token streams, with checkpoints in `store`.

    They end as the best ones on validation. Returns the outcome: steps, best step, best validation loss
    (nats per label), labels seen, and how many examples of each split were left out, where any were. What was
    learnt of the memory is kept beside `store`, for the next training of this run.
    Raises InputError for an architecture whose documents see one another.
    """
    require_positions(model, recipe.context)
    processes, sharded = Processes(), is_sharded(recipe)
    if sharded and recipe.precision == "fp16":
        raise InputError("training.precision: fp16; allowed with fsdp are bf16 and fp32")
    if sharded and recipe.optimiser == "muon":
        raise InputError("training.optimiser: muon; allowed with fsdp is adamw")  # it needs each matrix whole
    key = memory_key(model, recipe, processes.count if sharded else 1)
    learner = Learner(model, recipe.precision, sharded)
    learner(probe, task)
    examples = {split: task.examples(TokenStream.load(path), recipe.context) for split, path in tokens.items()}
    for split, some in examples.items():
        if some.left_out:
            of, context = len(some) + some.left_out, recipe.context
            logger.warning("%s: %d of %d are longer than %d tokens and left out", split, some.left_out, of, context)
        if not some.targets:
            raise InputError(f"{tokens[split]}: no token to predict in the {split} split of its parts{_why(some)}")
    recipe = recipe.for_examples(len(examples["train"]))
    examples["train"] = task.varied(examples["train"], recipe.steps * recipe.batch)
    size = min(recipe.micro_batch, -(-recipe.batch // processes.count))
    micro = MicroBatch(size, store.folder.parent / "memory.json", key, sharded)
    announce(learner, task, examples["train"], recipe, micro)
    progress = train(learner, task, examples["train"], examples["validation"], recipe, store, micro)
    logger.info("best validation loss %.4f at step %d of %d", progress.best_loss, progress.best_step, progress.step)
    if progress.best_step == 0:
        logger.warning("no step was better on the validation split than what it began with, which is kept")
    left_out = {split: some.left_out for split, some in examples.items()}
    return {
        "steps": progress.step,
        "best_step": progress.best_step,
        "validation_loss": progress.best_loss,
        "tokens": progress.tokens,
        **({"left_out": left_out} if any(left_out.values()) else {}),
    }


def _why(examples: Examples) -> str:
    return f": all {examples.left_out} are longer than the context" if examples.left_out else ""


def memory_key(model: torch.nn.Module, recipe: Recipe, parts: int) -> dict[str, Any]:
    """What decides the memory of a context's tokens, of a model in so many parts."""
    settings = {key: getattr(recipe, key) for key in ("context", "precision", "gradient_checkpointing")}
    trainable = sum(p.nbytes for p in model.parameters() if p.requires_grad)
    weights = sum(p.nbytes for p in model.parameters())
    return {**settings, "weights": weights, "trainable": trainable, "parts": parts}
