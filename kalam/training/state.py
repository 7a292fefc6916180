"""All that a training is in the middle of, from its checkpoint and into it."""

import logging
from dataclasses import asdict, dataclass

import numpy as np
import torch

from kalam.training.checkpoints import CheckpointFolder
from kalam.training.memory import MicroBatch
from kalam.training.optimiser import MOMENTS, optimisers
from kalam.training.processes import Processes
from kalam.training.recipe import Recipe
from kalam.training.sharding import Learner, on_main, part_like
from kalam.training.task import Task

logger = logging.getLogger(__name__)


@dataclass
class Progress:
    """Where a training stands; with weights, optimiser and random states all that a resumption needs.

    unreached: the trainable weights that have had no gradient so far, None before the first step.
    """

    step: int = 0
    tokens: int = 0
    evaluated: int = -1
    best_loss: float = float("inf")
    best_step: int = -1
    worse: int = 0
    unreached: list[str] | None = None

    def over(self, recipe: Recipe) -> bool:
        return self.step >= recipe.steps or self.worse >= recipe.patience

    def evaluation_due(self, recipe: Recipe) -> bool:
        return self.evaluated < self.step and (self.step % recipe.evaluate_every == 0 or self.step == recipe.steps)


class Training:
    """A model with its task, its recipe, its optimisers, its gradient scaler, its progress and its processes.

    Every process takes part in `save` and `resume`; the main one writes. What is in a checkpoint is
    whole, so a training goes on in any number of processes.
    """

    def __init__(self, learner: Learner, task: Task, recipe: Recipe, micro: MicroBatch):
        self.learner, self.task, self.recipe, self.micro = learner, task, recipe, micro
        self.processes, self.progress = Processes(), Progress()
        self.parameters = learner.trainable()
        self.optimisers = optimisers(learner.model, self.parameters, recipe)
        self.owner = {p: each for each in self.optimisers for group in each.param_groups for p in group["params"]}
        overflows = recipe.precision == "fp16"
        self.scaler = torch.amp.GradScaler(learner.device.type, enabled=overflows)
        torch.manual_seed(recipe.seed + self.processes.index)

    def save(self, checkpoints: CheckpointFolder) -> None:
        """Write weights, optimiser state, random states, scaler, progress and the micro-batch."""
        tensors = {f"weight/{name}": on_main(p) for name, p in self.parameters.items()}
        for name, p in self.parameters.items():
            for key, value in self.moments(p).items():
                tensors[f"optimiser/{key}/{name}"] = on_main(value)
        states = {"cpu": torch.get_rng_state()}
        if torch.cuda.is_available():
            states["cuda"] = torch.cuda.get_rng_state()
        for device, state in states.items():
            for index, each in enumerate(self.processes.gather(state)):
                tensors[f"random/{device}/{index}"] = each
        checkpoints.save(
            self.progress.step,
            tensors,
            {
                "progress": asdict(self.progress),
                "scaler": self.scaler.state_dict(),
                "micro_batch": self.micro.size,
                "processes": self.processes.count,
            },
        )

    def resume(self, checkpoints: CheckpointFolder) -> Progress:
        """Put everything back as `save` found it, where there is a valid checkpoint; the progress."""
        found = checkpoints.load()
        if found is None:
            return self.progress
        tensors, state = found
        self.load_weights({name: tensors[f"weight/{name}"] for name in self.parameters})
        for name, p in self.parameters.items():
            for key in MOMENTS:
                value = tensors.get(f"optimiser/{key}/{name}")
                if value is not None:
                    self.moments(p)[key] = value.to(p.device) if key == "step" else part_like(value, p)
        self.progress = Progress(**state["progress"])
        index = self.processes.index
        if state["processes"] == self.processes.count:
            torch.set_rng_state(tensors[f"random/cpu/{index}"])
            if torch.cuda.is_available() and f"random/cuda/{index}" in tensors:
                torch.cuda.set_rng_state(tensors[f"random/cuda/{index}"])
        else:
            logger.info("%d processes go on with what %d began", self.processes.count, state["processes"])
            torch.manual_seed(
                np.random.SeedSequence([self.recipe.seed, self.progress.step, index]).generate_state(1)[0]
            )
        if self.scaler.is_enabled() and state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        self.micro.resume_with(state["micro_batch"])
        logger.info("resuming at step %d", self.progress.step)
        return self.progress

    def moments(self, parameter: torch.nn.Parameter) -> dict[str, torch.Tensor]:
        """What the optimiser of a weight keeps of it."""
        return self.owner[parameter].state[parameter]

    def zero_gradients(self) -> None:
        for optimiser in self.optimisers:
            optimiser.zero_grad()

    def load_weights(self, weights: dict[str, torch.Tensor]) -> None:
        """Give the trainable weights these values, which are whole."""
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(part_like(weights[name], parameter))
