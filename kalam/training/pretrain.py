"""A base model from scratch: an architecture trained on the project's own text."""

import shutil
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kalam.files.digests import digest_file
from kalam.training.recipe import Recipe
from kalam.training.runs import Writer, finished_or

if TYPE_CHECKING:
    from kalam.training.checkpoints import CheckpointFolder


def pretrain(
    tokens: dict[str, str],
    tokenizer: str | Path,
    task: str,
    architecture: dict[str, Any],
    recipe: Recipe,
    code: str,
    checkpoints: str | Path,
    results: str | Path,
) -> None:
    """Train every weight of a scratch model and leave it in `results`, in the hub's layout.

    `tokens` names the token streams `train` and `validation`; `tokenizer` is the folder of the
    tokenizer they were made with; `task` is a module of kalam.tasks. The weights are the best ones
    on validation.
    """
    identity = {
        "kind": "scratch",
        "task": task,
        "tokens": {split: digest_file(path) for split, path in tokens.items()},
        "tokenizer": digest_file(Path(tokenizer) / "tokenizer.json"),
        "architecture": architecture,
        "recipe": recipe.identity(),
        "code": code,
    }

    def make(store: "CheckpointFolder") -> tuple[Writer, dict[str, Any]]:
        from kalam.models.adapters import device
        from kalam.models.scratch import initialise, save
        from kalam.text.tokens import load_tokenizer
        from kalam.training.engine import fit

        trained_with = load_tokenizer(tokenizer)
        model = initialise(architecture, trained_with, recipe.seed).to(device())
        if recipe.gradient_checkpointing:
            model.activation_checkpointing_enable({"use_reentrant": False})
        outcome = fit(model, import_module(f"kalam.tasks.{task}"), tokens, trained_with.pad_token_id, recipe, store)

        def write(target: Path) -> None:
            save(model, trained_with, target)
            shutil.copyfile(store.history, target / "history.jsonl")

        return write, outcome

    finished_or(checkpoints, results, identity, make)
