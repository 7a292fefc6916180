"""A base model from scratch: an architecture trained on the project's own text."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kalam.files.digests import digest_file
from kalam.training.recipe import Recipe
from kalam.training.runs import Writer, train_once

if TYPE_CHECKING:
    from kalam.training.checkpoints import CheckpointFolder


def pretrain(
    tokens: dict[str, str],
    tokenizer: str | Path,
    task: dict[str, Any],
    architecture: dict[str, Any],
    recipe: dict[str, Any] | None,
    seed: int,
    code: str,
    checkpoints: str | Path,
    results: str | Path,
) -> None:
    """Train every weight of a scratch model and leave it in `results`, in the hub's layout.

    `tokens` names the token streams `train` and `validation`; `tokenizer` is the folder of the
    tokenizer they were made with; `task` has the name of a module of kalam.tasks, the head of its models and its
    settings, `recipe` the fields of a Recipe. The weights are the best ones on validation; without a recipe
    they are the random ones that another training begins with.
    """
    steps = recipe and Recipe(**recipe).settled()
    identity = {
        "kind": "scratch",
        "task": task,
        "tokens": {split: digest_file(path) for split, path in tokens.items()},
        "tokenizer": digest_file(Path(tokenizer) / "tokenizer.json"),
        "architecture": architecture,
        "recipe": steps and steps.identity(),
        "seed": seed,
        "code": code,
    }

    def make(store: "CheckpointFolder") -> tuple[Writer, dict[str, Any]]:
        from kalam.machine.devices import torch_device
        from kalam.models.scratch import initialise, save
        from kalam.text.tokens import load_tokenizer
        from kalam.training.engine import fit
        from kalam.training.sharding import is_sharded, weights_to_write
        from kalam.training.task import make_task

        trained_with = load_tokenizer(tokenizer)
        chosen = make_task(task, trained_with)
        model = initialise(architecture, trained_with, seed, task["head"])
        if not (steps and is_sharded(steps)):
            model = model.to(torch_device())
        outcome: dict[str, Any] = {"steps": 0}
        if steps:
            if steps.gradient_checkpointing:
                model.activation_checkpointing_enable({"use_reentrant": False})
            outcome = fit(model, chosen, tokens, steps, store)
        weights = weights_to_write(model)

        def write(target: Path) -> None:
            save(model, trained_with, target, weights)
            store.history.touch()
            shutil.copyfile(store.history, target / "history.jsonl")

        return write, outcome

    train_once(checkpoints, results, identity, make, steps.precision if steps else "fp32")
