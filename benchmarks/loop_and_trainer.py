"""The training loop beside transformers' Trainer: the same NF4 base, LoRA and packed windows, in turns.

python -m benchmarks.loop_and_trainer
"""

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.workflow import ROOT, machine, write_result
from kalam.models.adapters import add_lora
from kalam.models.attention import block_mask
from kalam.models.loading import load_base
from kalam.models.scratch import initialise, save
from kalam.tasks.causal import Task
from kalam.text.tokens import load_tokenizer, train_tokenizer
from kalam.training.checkpoints import CheckpointFolder
from kalam.training.loop import train
from kalam.training.packing import PackedWindows, TokenStream
from kalam.training.recipe import Recipe
from kalam.training.sharding import Learner
from kalam.training.task import stack

ROUNDS, STEPS, CONTEXT, BATCH = 5, 30, 256, 4
LORA = {
    "embeddings": False,
    "rank": 16,
    "alpha": 32,
    "dropout": 0.05,
    "targets": "all-linear",
    "rslora": False,
    "dora": False,
    "initialisation": "kaiming",
}
ARCHITECTURE = {
    "model_type": "llama",
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "tie_word_embeddings": True,
}


def ours(base: Path, windows: PackedWindows, folder: Path) -> float:
    recipe = Recipe(
        seed=0,
        steps=STEPS,
        learning_rate=1e-3,
        context=CONTEXT,
        batch=BATCH,
        micro_batch=BATCH,
        evaluate_every=STEPS,
        save_every=10 * STEPS,
        gradient_checkpointing=False,
    ).settled()
    model = add_lora(load_base({"folder": base}, "nf4"), LORA, 0, False)
    one = PackedWindows(TokenStream(windows.tokens[: CONTEXT + 1], np.array([0])), CONTEXT)
    started = time.monotonic()
    train(Learner(model, recipe.precision), Task(load_tokenizer(base)), windows, one, recipe, CheckpointFolder(folder))
    return time.monotonic() - started


def peer(base: Path, windows: PackedWindows, folder: Path) -> float:
    from transformers import Trainer, TrainingArguments

    model = add_lora(load_base({"folder": base}, "nf4"), LORA, 0, False)
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=STEPS,
        per_device_train_batch_size=BATCH,
        learning_rate=1e-3,
        save_strategy="no",
        remove_unused_columns=False,
        disable_tqdm=True,
        use_cpu=not torch.cuda.is_available(),
    )

    def collate(some):
        batch = stack(some)
        labels = batch["labels"].roll(1, dims=1)  # the Trainer's model shifts them itself
        labels[:, 0] = -100
        mask = block_mask(batch["document"])
        return {key: batch[key] for key in ("input_ids", "position_ids")} | {"attention_mask": mask, "labels": labels}

    trainer = Trainer(model=model, args=arguments, train_dataset=list(windows), data_collator=collate)
    started = time.monotonic()
    trainer.train()
    return time.monotonic() - started


if __name__ == "__main__":
    torch.set_num_threads(2)
    texts = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "resources/bangla/poems").glob("*.txt"))]
    tokenizer = train_tokenizer(texts, 2000)
    ids = tokenizer(texts, add_special_tokens=False)["input_ids"]
    windows = PackedWindows(TokenStream.of(ids), CONTEXT)
    seconds: dict[str, list[float]] = {"loop": [], "trainer": []}
    with tempfile.TemporaryDirectory() as temporary:
        base = Path(temporary) / "base"
        save(initialise(ARCHITECTURE, tokenizer, 0), tokenizer, base)
        for number in range(ROUNDS + 1):
            for name, run in (("loop", ours), ("trainer", peer)):
                taken = run(base, windows, Path(temporary) / f"{name}{number}")
                if number:  # the first round warms up
                    seconds[name].append(taken)
    ratios = [a / b for a, b in zip(seconds["loop"], seconds["trainer"], strict=True)]
    write_result(
        "loop_and_trainer",
        {
            "machine": machine(),
            "steps": STEPS,
            "tokens_per_step": BATCH * CONTEXT,
            "seconds": {name: [round(value, 2) for value in values] for name, values in seconds.items()},
            "loop_over_trainer": {
                "median": round(statistics.median(ratios), 3),
                "min": round(min(ratios), 3),
                "max": round(max(ratios), 3),
            },
        },
    )
