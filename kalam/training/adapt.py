"""A base model adapted to a project's text: by a LoRA adapter, on 4-bit weights or whole ones, or whole."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kalam.files.digests import digest_file
from kalam.training.recipe import Recipe
from kalam.training.runs import Writer, train_once

if TYPE_CHECKING:
    from kalam.training.checkpoints import CheckpointFolder


def adapt(
    base: dict[str, Any],
    tokens: dict[str, str],
    task: dict[str, Any],
    lora: dict[str, Any] | None,
    quantisation: str,
    recipe: dict[str, Any],
    code: str,
    checkpoints: str | Path,
    results: str | Path,
) -> None:
    """Train a LoRA adapter and leave it in `results/adapter`; without `lora` every weight, in `results/model`.

    `base` is what `base.json` says: model, folder, digest, and the adapter that is gone on with.
    `tokens` names the token streams `train` and `validation`; `task` has the name of a module of
    kalam.tasks, the head of its models and its settings; `recipe` has the fields of a Recipe. The weights
    are the best ones on validation, which are the base's where no step made them better.
    """
    steps = Recipe(**recipe).settled()
    identity = {
        "kind": "adapter" if lora else "full",
        "task": task,
        "tokens": {split: digest_file(path) for split, path in tokens.items()},
        "base": base["digest"],
        "lora": lora,
        "quantisation": quantisation,
        "recipe": steps.identity(),
        "code": code,
    }

    def make(store: "CheckpointFolder") -> tuple[Writer, dict[str, Any]]:
        from kalam.models.adapters import add_lora, continue_lora, merge, unfreeze
        from kalam.models.loading import load_base
        from kalam.models.scratch import save
        from kalam.text.tokens import load_tokenizer
        from kalam.training.engine import fit
        from kalam.training.packing import TokenStream
        from kalam.training.sharding import is_sharded, weights_to_write
        from kalam.training.task import make_task

        tokenizer = load_tokenizer(base["folder"])
        chosen = make_task(task, tokenizer)
        precision = steps.precision if lora else "fp32"
        model = load_base(base, quantisation, precision, task["head"], is_sharded(steps))
        if not lora:
            whole = merge(model, base["adapter"]) if base["adapter"] else model
            model = unfreeze(whole, steps.gradient_checkpointing)
        elif base["adapter"]:
            model = continue_lora(model, base["adapter"], lora["dropout"], steps.gradient_checkpointing)
        else:
            rows = {*range(*(base.get("added") or (0, 0)))}
            if lora["embeddings"]:
                rows |= {*chosen.pieces(TokenStream.load(tokens["train"])).tolist()}
            given = (steps.seed, steps.gradient_checkpointing, chosen.lora_type, sorted(rows))
            model = add_lora(model, lora, *given)
        outcome = fit(model, chosen, tokens, steps, store)
        weights = weights_to_write(model)

        def write(target: Path) -> None:
            folder = target / ("adapter" if lora else "model")
            if lora:
                model.save_pretrained(folder, state_dict=weights)
            else:
                save(model, tokenizer, folder, weights)
            for name, content in chosen.files.items():
                (folder / name).write_text(content, encoding="utf-8")
            shutil.copyfile(store.history, target / "history.jsonl")

        return write, {"base": base["model"], **outcome}

    train_once(checkpoints, results, identity, make, steps.precision)
