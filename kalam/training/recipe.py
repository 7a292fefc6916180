"""What a training does, in numbers; the part of a run that decides its result."""

import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from kalam.models.precision import settled

# These change how long a training takes and what it needs, never what comes out.
WITHOUT_EFFECT = ("micro_batch", "save_every", "gradient_checkpointing", "parallel", "tensorboard")


@dataclass(frozen=True)
class Recipe:
    """The `training` section of the configuration, and the seed; the schema documents each field.

    What trains takes one whose precision is settled.
    """

    seed: int
    learning_rate: float
    steps: int | None = None
    epochs: float | None = None
    context: int = 512
    batch: int = 4
    micro_batch: int = 1
    warmup: float = 0.03
    schedule: str = "cosine"
    final_rate: float = 0.0
    optimiser: str = "adamw"
    weight_decay: float = 0.0
    beta2: float = 0.999
    gradient_clip: float = 1.0
    evaluate_every: int = 50
    patience: int = 5
    save_every: int = 50
    precision: str = "auto"
    gradient_checkpointing: bool = True
    parallel: str = "ddp"
    tensorboard: bool = False

    @classmethod
    def of(cls, section: dict[str, Any], seed: int) -> "Recipe":
        names = {field.name for field in fields(cls)}
        return cls(seed=seed, **{key: value for key, value in section.items() if key in names})

    def settled(self) -> "Recipe":
        """The recipe with the precision that it means on this device; in another it is another training."""
        return replace(self, precision=settled(self.precision))

    def for_examples(self, count: int) -> "Recipe":
        """The recipe in steps, where it is in epochs, for that many examples."""
        if self.epochs is None:
            return self
        return replace(self, steps=math.ceil(self.epochs * count / self.batch), epochs=None)

    def identity(self) -> dict[str, Any]:
        """The fields that decide the result, for the fingerprint."""
        deciding = {key: value for key, value in asdict(self).items() if key not in WITHOUT_EFFECT}
        return {key: value for key, value in deciding.items() if value is not None}

    def rate(self, step: int) -> float:
        """The learning rate of step 0, 1, ..., steps - 1: linear warm-up (a share of the steps, from 1 on a number
        of them), then the schedule."""
        warmup = math.ceil(self.warmup * self.steps if self.warmup < 1 else self.warmup)
        if step < warmup:
            return self.learning_rate * (step + 1) / warmup
        done = (step - warmup) / max(1, self.steps - warmup)
        share = {"constant": 1.0, "linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}[self.schedule]
        return self.learning_rate * (self.final_rate + (1 - self.final_rate) * share)
