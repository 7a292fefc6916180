"""A base model adapted to a project's text by a LoRA adapter, on 4-bit weights or whole ones."""

import shutil
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kalam.files.digests import digest_file
from kalam.training.recipe import Recipe
from kalam.training.runs import Writer, finished_or

if TYPE_CHECKING:
    from kalam.training.checkpoints import CheckpointFolder


def adapt(
    base: dict[str, Any],
    tokens: dict[str, str],
    task: str,
    lora: dict[str, Any],
    quantisation: str,
    recipe: Recipe,
    code: str,
    checkpoints: str | Path,
    results: str | Path,
) -> None:
    """Train a LoRA adapter and leave it in `results/adapter`.

    `base` is what `base.json` says: model, folder, digest of its files. `tokens` names the token
    streams `train` and `validation`, `task` a module of kalam.tasks. The adapter is the best one on
    validation, which is the untouched base where no step made it better.
    """
    identity = {
        "kind": "adapter",
        "task": task,
        "tokens": {split: digest_file(path) for split, path in tokens.items()},
        "base": base["digest"],
        "lora": lora,
        "quantisation": quantisation,
        "recipe": recipe.identity(),
        "code": code,
    }

    def make(store: "CheckpointFolder") -> tuple[Writer, dict[str, Any]]:
        from kalam.models.adapters import add_lora, load_base
        from kalam.training.engine import fit

        whole = load_base(base["folder"], quantisation, recipe.precision, base["remote_code"])
        model = add_lora(whole, lora, recipe.seed, recipe.gradient_checkpointing)
        outcome = fit(model, import_module(f"kalam.tasks.{task}"), tokens, 0, recipe, store)

        def write(target: Path) -> None:
            model.save_pretrained(target / "adapter")
            shutil.copyfile(store.history, target / "history.jsonl")

        return write, {"base": base["model"], **outcome}

    finished_or(checkpoints, results, identity, make)
