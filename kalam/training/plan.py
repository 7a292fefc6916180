"""What a training is about to do: tokens, steps, parameters, memory, time."""

import logging
import math
import time

import torch

from kalam.models.head import LARGE
from kalam.training.examples import Examples
from kalam.training.memory import MicroBatch
from kalam.training.recipe import Recipe
from kalam.training.sharding import Learner
from kalam.training.task import Task, batch_to

logger = logging.getLogger(__name__)

# Bytes for a value of the logits in training: the logits, their softmax and their gradient, in fp32.
LOGITS_BYTES = 12
# Activations a transformer layer keeps for its backward pass, per token and hidden unit (Korthikanti
# et al. 2022 count 34 bytes in half precision without attention scores), twice that in fp32.
LAYER_BYTES = 68


def announce(learner: Learner, task: Task, training: Examples, recipe: Recipe, micro: MicroBatch) -> None:
    """Log the plan; the time comes from one micro-batch forward and backward, which changes nothing."""
    model, processes = learner.model, micro.processes.count
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    per_epoch = training.targets
    per_step = per_epoch / len(training) * recipe.batch
    logger.info(
        "plan: %d steps of %d examples of up to %d tokens; %.0f labels in all, %.1f epochs of %d",
        recipe.steps,
        recipe.batch,
        training.costs.max(),
        per_step * recipe.steps,
        recipe.steps * recipe.batch / len(training),
        per_epoch,
    )
    logger.info("plan: %d parameters, %d trainable (%.2f %%)", *_parameters(model, trainable))
    logger.info("plan: about %.2f GB of memory", memory(model, task, recipe, micro.size) / 1e9)
    if processes > 1:
        logger.info("plan: %d processes, the model %s", processes, "in parts" if learner.sharded else "in each of them")
    seconds = micro.fit(lambda size: micro_batch_seconds(learner, task, training, recipe.context, size))
    per_batch = training.costs.mean() * recipe.batch / processes
    passes = recipe.steps * max(1, per_batch / (micro.size * recipe.context))
    logger.info("plan: about %.0f s at %.2f s a micro-batch of %d", seconds * passes, seconds, micro.size)


def memory(model: torch.nn.Module, task: Task, recipe: Recipe, micro_batch: int) -> float:
    """Estimated bytes at the peak: weights, AdamW (gradient and two moments in fp32), activations, logits."""
    config = model.config.get_text_config()
    weights = sum(p.nbytes for p in model.parameters())
    optimiser = sum(12 * p.numel() for p in model.parameters() if p.requires_grad)
    tokens = micro_batch * recipe.context
    hidden, layers = config.hidden_size, config.num_hidden_layers
    kept = 4 * layers + LAYER_BYTES if recipe.gradient_checkpointing else LAYER_BYTES * layers
    logits = min(tokens * config.vocab_size, LARGE if task.chunked else math.inf)
    return weights + optimiser + tokens * hidden * kept + LOGITS_BYTES * logits


def micro_batch_seconds(learner: Learner, task: Task, training: Examples, context: int, size: int) -> float:
    """Seconds of one forward and backward pass of the costliest micro-batch there can be; gradients and random states
    are left as they were."""
    costliest = int(training.costs.argmax())
    count = max(1, int(size * context // training.costs[costliest]))
    batch = batch_to(task.collate([training[costliest]] * count, [(0,)] * count), learner.device)
    learner.train()
    with torch.random.fork_rng([learner.device] if learner.device.type == "cuda" else []):
        for _ in range(2):  # the first pass also loads kernels
            started = time.monotonic()
            try:
                loss, _ = learner(task.loss, batch)
                loss.backward()
            finally:
                learner.zero_grad(set_to_none=True)
    return time.monotonic() - started


def _parameters(model: torch.nn.Module, trainable: int) -> tuple[int, int, float]:
    total = model.num_parameters()
    return total, trainable, 100 * trainable / total
