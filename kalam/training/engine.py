"""What every training goes through before and after the loop: probe, plan, outcome."""

import logging
from types import ModuleType
from typing import Any

import torch

from kalam.files.errors import InputError
from kalam.training.checkpoints import CheckpointFolder
from kalam.training.loop import train
from kalam.training.packing import PackedWindows, TokenStream
from kalam.training.plan import announce
from kalam.training.recipe import Recipe

logger = logging.getLogger(__name__)

LEAKAGE = 1e-6  # an honest model gives 0: what is masked has no weight at all


def fit(
    model: torch.nn.Module, task: ModuleType, tokens: dict[str, str], pad: int, recipe: Recipe, store: CheckpointFolder
) -> dict[str, Any]:
    """Train the model's trainable weights on packed token streams, with checkpoints in `store`.

    Returns the outcome: steps, best step, best validation loss (nats per token),
    tokens predicted. Raises InputError for an architecture whose packed documents see one another.
    """
    windows = {split: PackedWindows(TokenStream.load(path), recipe.context, pad) for split, path in tokens.items()}
    for split, packed in windows.items():
        if not packed.targets:
            raise InputError(f"{tokens[split]}: no token to predict; the {split} split of its registers is empty")
    config = model.config.get_text_config()
    positions = getattr(config, "max_position_embeddings", None)
    if positions and recipe.context > positions:
        raise InputError(f"training.context: {recipe.context} tokens; allowed are the model's {positions} positions")
    leaked = task.leakage(model, config.vocab_size)
    if leaked > LEAKAGE:
        raise InputError(f"{model.config.model_type}: packed documents see one another (logits move by {leaked:.2g})")
    announce(model, task, windows["train"], recipe)
    progress = train(model, task, windows["train"], windows["validation"], recipe, store)
    logger.info("best validation loss %.4f at step %d of %d", progress.best_loss, progress.best_step, progress.step)
    return {
        "steps": progress.step,
        "best_step": progress.best_step,
        "validation_loss": progress.best_loss,
        "tokens": progress.tokens,
    }
