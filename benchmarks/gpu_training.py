"""One training of `benchmarks.gpu`, in a process of its own: its speed, and a peak of memory that is its own.

python -m benchmarks.gpu_training CASE        (JSON; the result is the last line, JSON too)
"""

import gc
import json
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from accelerate.utils.memory import should_reduce_batch_size

from benchmarks.loop_and_trainer import LORA
from benchmarks.packing import pieces
from kalam.files.errors import InputError
from kalam.files.jsonl import read_json
from kalam.machine.devices import device_name
from kalam.models.adapters import add_lora
from kalam.models.loading import load_base
from kalam.models.precision import settled
from kalam.tasks import causal
from kalam.text.tokens import IGNORED
from kalam.training.checkpoints import CheckpointFolder
from kalam.training.loop import train
from kalam.training.memory import MicroBatch
from kalam.training.packing import PackedWindows, TokenStream
from kalam.training.recipe import Recipe
from kalam.training.sharding import Learner

Ends = list[tuple[float, int]]  # when each step ended, and the tokens until then
NEVER = 10**9
RATE = 2e-4


class Padded(causal.Task):
    """Documents whole, each from its first position: a `window` is a padded batch of them."""

    def inputs(self, model, batch):
        return {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"], "use_cache": False}

    def loss(self, model, batch):
        return super().loss(model, {key: value[0] for key, value in batch.items()})


class Timed(CheckpointFolder):
    """A training's folder that notes when each step ended, and the tokens until then."""

    def __init__(self, folder: str):
        super().__init__(folder)
        self.ends: Ends = []

    def append_history(self, row: dict[str, Any]) -> None:
        super().append_history(row)
        if "loss" in row:
            self.ends.append((now(), row["tokens"]))


def now() -> float:
    """Seconds, when all that the GPU was given is done; without one this process's own, which others do not slow."""
    if not torch.cuda.is_available():
        return time.process_time()
    torch.cuda.synchronize()
    return time.monotonic()


def random_documents(lengths: list[int], tokens: int, vocabulary: int) -> list[list[int]]:
    """Documents of random ids and of those lengths, drawn until there are so many tokens; the last one is cut."""
    random, found = np.random.default_rng(0), []
    while tokens > 0:
        length = min(tokens, int(random.choice(lengths)))
        found.append(random.integers(vocabulary, size=length).tolist())
        tokens -= length
    return found


def examples_of(kind: str, documents: list[list[int]], context: int, windows: int):
    """The documents `packed`, as `single` pieces, or in padded batches of `like` lengths and as many tokens a step."""
    if kind == "packed":
        return PackedWindows(TokenStream.of(documents), context)
    cut = pieces(documents, context)
    if kind == "single":
        return [padded([piece]) for piece in cut]
    groups: list[list[list[int]]] = [[]]
    for piece in sorted(cut, key=len):
        if groups[-1] and (len(groups[-1]) + 1) * len(piece) > windows * context:
            groups.append([])
        groups[-1].append(piece)
    return [padded(group) for group in groups]


def padded(group: list[list[int]]) -> dict[str, np.ndarray]:
    """int64 [documents, longest]: input_ids, attention_mask, and labels that are shifted already."""
    ids = np.zeros((len(group), max(map(len, group))), dtype=np.int64)
    there, labels = np.zeros_like(ids), np.full_like(ids, IGNORED)
    for row, piece in enumerate(group):
        ids[row, : len(piece)], there[row, : len(piece)] = piece, 1
        labels[row, : len(piece) - 1] = piece[1:]
    return {"input_ids": ids, "attention_mask": there, "labels": labels}


def kalam(model, kind: str, examples, batch: int, micro: MicroBatch, steps: int, folder: str) -> Ends:
    """Our loop, which halves `micro` where it has to."""
    task = (causal.Task if kind == "packed" else Padded)(SimpleNamespace(pad_token_id=0))
    recipe = Recipe(
        seed=0,
        steps=steps,
        learning_rate=RATE,
        batch=batch,
        micro_batch=micro.size,
        evaluate_every=NEVER,  # before the first step and after the last one, outside of what is timed
        save_every=NEVER,
    ).settled()
    store, few = Timed(folder), [padded([[1, 2, 3, 4]])]
    if kind == "packed":
        few = PackedWindows(TokenStream.of([[1, 2, 3, 4]]), 4)
    train(Learner(model, recipe.precision), task, examples, few, recipe, store, micro)
    return store.ends


def trainer(model, kind: str, examples, batch: int, micro: MicroBatch, steps: int, folder: str) -> Ends:
    """transformers' Trainer, as its users set it up: micro-batch 1, its own loss; packed by position_ids."""
    from transformers import Trainer, TrainerCallback, TrainingArguments

    ends: Ends = []
    some = [examples[i] for i in range(steps * batch)]
    labels = [int((example["labels"] != IGNORED).sum()) for example in some]

    class Note(TrainerCallback):
        def on_step_end(self, arguments, state, control, **_):
            ends.append((now(), sum(labels[: state.global_step * batch])))

    def collate(one):
        inputs = {key: torch.from_numpy(np.atleast_2d(value)) for key, value in one[0].items() if key != "document"}
        inputs["labels"] = inputs["labels"].roll(1, dims=1)  # the model shifts them itself
        inputs["labels"][:, 0] = IGNORED
        return inputs

    model.config.use_cache = False
    arguments = TrainingArguments(
        output_dir=folder,
        max_steps=steps,
        per_device_train_batch_size=micro.size,
        gradient_accumulation_steps=batch,
        learning_rate=RATE,
        train_sampling_strategy="sequential",  # the documents are in random order
        save_strategy="no",
        remove_unused_columns=False,
        disable_tqdm=True,
        bf16=settled("auto") == "bf16",
        fp16=settled("auto") == "fp16",
        use_cpu=not torch.cuda.is_available(),
    )
    Trainer(model=model, args=arguments, train_dataset=some, data_collator=collate, callbacks=[Note()]).train()
    return ends


def reset_peak() -> None:
    """Forget the peak so far: what follows has its own."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    else:
        with suppress(OSError):  # where Linux does not allow it the peak is that of loading too
            Path("/proc/self/clear_refs").write_text("5")


def memory() -> dict[str, float]:
    """GB now and at the peak: of the GPU's tensors, without one of the process (resident)."""
    if torch.cuda.is_available():
        found = {"now_gb": torch.cuda.memory_allocated(), "peak_gb": torch.cuda.max_memory_allocated()}
        found["reserved_gb"] = torch.cuda.max_memory_reserved()
        return {name: round(value / 1e9, 3) for name, value in found.items()}
    rows = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    found = {"now_gb": rows["VmRSS"], "peak_gb": rows["VmHWM"]}
    return {name: round(int(value.split()[0]) * 1024 / 1e9, 3) for name, value in found.items()}


def measure(case: dict[str, Any]) -> dict[str, Any]:
    """A training of the case: tokens a second after the first `warm` steps, memory, seconds. What does not
    fit into memory is a result too."""
    engine, kind, at_once = case["way"]
    context, windows, steps, warm = (case[name] for name in ("context", "windows", "steps", "warm"))
    model = add_lora(load_base({"folder": case["base"]}, "nf4"), LORA, 0, gradient_checkpointing=True)
    result = {"load_peak_gb": memory()["peak_gb"], "trainable": sum(p.numel() for p in trainable(model))}
    budget = steps * windows * context + 1
    documents = random_documents(read_json(case["lengths"]), budget, model.config.vocab_size)
    examples = examples_of(kind, documents, context, windows)
    batch = 1 if kind == "like" else max(1, len(examples) // steps)
    steps = min(steps, len(examples) // batch)
    reset_peak()
    result["loaded_gb"] = memory()["now_gb"]
    started = now()
    run, micro = {"kalam": kalam, "trainer": trainer}[engine], MicroBatch(windows if at_once == "step" else 1)
    with tempfile.TemporaryDirectory() as folder:
        try:
            ends = run(model, kind, examples, batch, micro, steps, folder)
        except Exception as error:
            full = isinstance(error, InputError) and "fit into memory" in str(error)
            if not (full or should_reduce_batch_size(error)):
                raise
            return {**result, "out_of_memory": str(error).splitlines()[0]}
    result |= {
        "seconds": round(now() - started, 1),
        **memory(),
        "steps": steps,
        "batch": batch,
        "micro_batch": micro.size,
    }
    if steps > warm > 0:
        (begin, before), (end, after) = ends[warm - 1], ends[-1]
        result |= {"tokens": after - before, "tokens_per_second": (after - before) / (end - begin)}
    return result


def trainable(model) -> list[torch.nn.Parameter]:
    return [p for p in model.parameters() if p.requires_grad]


def make_base(case: dict[str, Any]) -> dict[str, Any]:
    """Write a model of random weights in the hub's layout, in bf16 as there; says how large it is, and on what."""
    from transformers import AutoConfig, AutoModelForCausalLM

    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**case["shape"]), dtype=torch.bfloat16)
    model.save_pretrained(case["base"])
    total = torch.cuda.get_device_properties(0).total_memory / 1e9 if torch.cuda.is_available() else None
    return {
        "parameters": model.num_parameters(),
        "device": device_name(),
        "device_gb": total,
        "arithmetic": settled("auto"),
    }


if __name__ == "__main__":
    case = json.loads(sys.argv[1])
    if not torch.cuda.is_available():
        torch.set_num_threads(1)  # as the rules do; and two that must wait for one another suffer from other work
    print(json.dumps(make_base(case) if "shape" in case else measure(case)))
