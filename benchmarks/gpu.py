"""The training engine beside transformers' Trainer at the shapes of small hub models, on the card that is there.

python -m benchmarks.gpu [--scale real|small] [--shapes ...] [--contexts 512 1024 ...] [--rounds 2] [--steps 12]
python -m benchmarks.gpu --one-step [--shapes ...]        (without a GPU, for the memory of the real shapes)

Random weights, NF4 and LoRA on all linear layers, gradient checkpointing, documents as long as real
ones (texts in KALAM_DATA, else the sample texts). Each training is a process of its own, so its peak
of memory is its own and running out of memory is a result; the ways take turns. Without a GPU the
shapes are an eighth as wide, and what is timed is the process's own seconds on one core.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.loop_and_trainer import LORA
from benchmarks.packing import texts
from benchmarks.workflow import machine, write_result
from kalam.files.jsonl import write_json
from kalam.text.tokens import encode_documents, train_tokenizer

# What their config.json say, as far as it decides speed and memory.
SHAPES: dict[str, dict[str, Any]] = {
    "Qwen2.5-1.5B": {
        "model_type": "qwen2",
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "num_hidden_layers": 28,
        "num_attention_heads": 12,
        "num_key_value_heads": 2,
        "vocab_size": 151_936,
        "max_position_embeddings": 32_768,
        "tie_word_embeddings": True,
    },
    "Gemma 3 1B": {
        "model_type": "gemma3_text",
        "hidden_size": 1152,
        "intermediate_size": 6912,
        "num_hidden_layers": 26,
        "num_attention_heads": 4,
        "num_key_value_heads": 1,
        "head_dim": 256,
        "vocab_size": 262_144,
        "sliding_window": 512,
        "sliding_window_pattern": 6,
        "max_position_embeddings": 32_768,
        "tie_word_embeddings": True,
    },
}
# Engine, how documents become examples, and how many of these go through the model at once.
WAYS = {
    "kalam": ("kalam", "packed", 1),
    "trainer, one document": ("trainer", "single", 1),
    "trainer, packed": ("trainer", "packed", 1),
    "kalam, step at once": ("kalam", "packed", "step"),
    "kalam, one document": ("kalam", "single", 1),
    "kalam, like lengths": ("kalam", "like", 1),
}
BESIDE = tuple(WAYS)[:3]  # at every context; the others, which are about packing, at one
RATIOS = {
    "engine": ("kalam", "trainer, one document"),
    "engine on the same windows": ("kalam", "trainer, packed"),
    "engine, step at once": ("kalam, step at once", "trainer, one document"),
    "packing": ("kalam", "kalam, one document"),
    "packing, step at once": ("kalam, step at once", "kalam, one document"),
    "packing beside like lengths": ("kalam, step at once", "kalam, like lengths"),
}
GOAL_CONTEXT, GOAL_GB = 2048, 16
GOAL_RATIOS = {"engine": 1.5, "packing": 2.5}
SCALES = {  # contexts, the one at which packing is looked at, windows a step, steps, of which so many are not timed
    "real": {"contexts": (512, 1024, 2048, 4096), "packing": 2048, "windows": 4, "steps": 12, "warm": 2},
    "small": {"contexts": (512, 1024), "packing": 1024, "windows": 2, "steps": 3, "warm": 1},
}
# Dense bf16 (T4, V100: fp16) FLOP/s of the tensor cores with fp32 sums, from the makers' data sheets.
PEAK = {
    "T4": 65e12,
    "V100": 125e12,
    "A10": 125e12,
    "A10G": 70e12,
    "A100": 312e12,
    "L4": 121e12,
    "L40S": 362e12,
    "RTX 3090": 71e12,
    "RTX 4090": 165e12,
    "H100": 989e12,
    "H100 PCIe": 756e12,
    "H200": 989e12,
    "B200": 2250e12,
}


def small(shape: dict[str, Any]) -> dict[str, Any]:
    """The shape an eighth as wide, with a quarter of the layers and an eighth of the vocabulary."""
    eighth = ("hidden_size", "intermediate_size", "head_dim", "vocab_size")
    cut = {key: shape[key] // 8 for key in eighth if key in shape}
    return {**shape, **cut, "num_hidden_layers": shape["num_hidden_layers"] // 4}


def flops_per_token(frozen: int, trained: int) -> int:
    """Of the matrices, forward and backward (Kaplan et al. 2020: 2 and 4 a weight); a frozen weight has no
    gradient of its own (2 less). Neither attention nor what checkpointing computes again is counted."""
    return 4 * frozen + 6 * trained


def peak_flops(device: str) -> float | None:
    """Of the card of that name; None for one not in the table, a part of one, or one for laptops."""
    if re.search(r"MIG|Laptop", device):
        return None
    known = [name for name in PEAK if re.search(rf"\b{name}\b", device)]
    return PEAK[max(known, key=len)] if known else None


def utilisation(tokens_per_second: float, flops: float, peak: float | None) -> float | None:
    """The share of the card's arithmetic that the model's own is."""
    return round(tokens_per_second * flops / peak, 4) if peak else None


def ways_at(context: int, scale: str) -> tuple[str, ...]:
    return tuple(WAYS) if context == SCALES[scale]["packing"] else BESIDE


def medians(turns: dict[str, list[dict[str, Any]]], base: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Each way's last turn, with the speed of all and its share of the card's arithmetic."""
    found = {}
    for way, some in turns.items():
        timed = [turn for turn in some if "tokens_per_second" in turn]
        last = (timed or some)[-1]
        found[way] = {key: value for key, value in last.items() if key not in ("tokens_per_second", "trainable")}
        if timed:
            middle = statistics.median(turn["tokens_per_second"] for turn in timed)
            flops = flops_per_token(base["parameters"], last["trainable"])
            found[way]["tokens_per_second"] = round(middle, 1)
            found[way]["turns"] = [round(turn["tokens_per_second"], 1) for turn in timed]
            found[way]["utilisation"] = utilisation(middle, flops, peak_flops(base["device"]))
    return found


def ratios(turns: dict[str, list[dict[str, Any]]]) -> dict[str, float]:
    """How many times the tokens a second of another way, side by side; where one of the two failed, nothing."""
    found = {}
    for name, ways in RATIOS.items():
        speeds = [[turn.get("tokens_per_second") for turn in turns.get(way, [])] for way in ways]
        if both := [a / b for a, b in zip(*speeds, strict=False) if a and b]:
            found[name] = round(statistics.median(both), 2)
    return found


def goals(shapes: dict[str, Any], reduced: bool) -> list[dict[str, Any]]:
    """What is wanted, what was found at the context of the goals (else the longest), and whether that is enough:
    nobody can say so of anything but the real shapes on a GPU."""
    rows = []
    for shape, result in shapes.items():
        context = str(GOAL_CONTEXT) if str(GOAL_CONTEXT) in result["contexts"] else max(result["contexts"], key=int)
        at = result["contexts"][context]
        gb = at["ways"]["kalam"].get("peak_gb")
        found = [("peak_gb", GOAL_GB, gb, gb is not None and gb <= GOAL_GB)]
        for name, wanted in GOAL_RATIOS.items():
            ratio = at["ratios"].get(name)
            found.append((name, wanted, ratio, ratio is not None and ratio >= wanted))
        for goal, wanted, value, met in found:
            undecided = reduced or (value is None and goal != "peak_gb")
            row = {"shape": shape, "context": int(context), "goal": goal, "wanted": wanted, "found": value}
            rows.append({**row, "met": None if undecided else met})
    return rows


def child(case: dict[str, Any]) -> dict[str, Any]:
    """What a process of its own says of a case, or how it ended."""
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]  # one card: the Trainer would take them all
    command = [sys.executable, "-m", "benchmarks.gpu_training", json.dumps(case)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "CUDA_VISIBLE_DEVICES": first})
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    said = done.stderr.strip().splitlines() or [""]
    return {"failed": f"status {done.returncode}: {said[-1]}"}  # -9 where the system's own memory was full


def base_model(shape: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Make the base of a shape; what it is."""
    base = child({"shape": shape, "base": str(folder)})
    if "failed" in base:
        raise SystemExit(base["failed"])
    return base


def turns_of(case: dict[str, Any], ways: tuple[str, ...], rounds: int) -> dict[str, list[dict[str, Any]]]:
    turns: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            turns[way].append(child({**case, "way": WAYS[way]}))
            print(case["context"], way, json.dumps(turns[way][-1]), flush=True)
    return turns


def lengths(folder: Path) -> tuple[str, list[int]]:
    """What texts were read, and the tokens of each, by a byte-level BPE of 2,000 pieces; also left in a file."""
    name, sample = texts(count=1000)
    found = [len(ids) for ids in encode_documents(train_tokenizer(sample, 2000), sample)]
    write_json(folder / "lengths.json", found)
    return name, found


def one_steps(shapes: list[str], folder: Path) -> dict[str, Any]:
    """One step of one window of the goals' context at real shapes: its memory, and that of loading."""
    lengths(folder)
    case = {"context": GOAL_CONTEXT, "windows": 1, "steps": 1, "warm": 0, "way": WAYS["kalam"]}
    found: dict[str, Any] = {}
    for shape in shapes:
        base = base_model(SHAPES[shape], folder / shape)
        done = child({**case, "base": str(folder / shape), "lengths": str(folder / "lengths.json")})
        found[shape] = {**done, "device": base["device"], "arithmetic": base["arithmetic"]}
        print(shape, json.dumps(found[shape]), flush=True)
    allocator = {key: value for key, value in os.environ.items() if key.startswith("MALLOC_")}
    return {"machine": machine(), "allocator": allocator, "context": GOAL_CONTEXT, "shapes": found}


def run(
    scale: str, names: list[str], contexts: tuple[int, ...], rounds: int, steps: int | None, folder: Path
) -> dict[str, Any]:
    name, tokens = lengths(folder)
    settings = {key: SCALES[scale][key] for key in ("windows", "steps", "warm")}
    settings["steps"] = steps or settings["steps"]
    shapes: dict[str, Any] = {}
    for shape in names:
        base = base_model(small(SHAPES[shape]) if scale == "small" else SHAPES[shape], folder / shape)
        print(shape, json.dumps(base), flush=True)
        shapes[shape] = {"parameters": base["parameters"], "contexts": {}}
        case = {**settings, "lengths": str(folder / "lengths.json"), "base": str(folder / shape)}
        for context in contexts:
            turns = turns_of({**case, "context": context}, ways_at(context, scale), rounds)
            shapes[shape]["contexts"][str(context)] = {"ways": medians(turns, base), "ratios": ratios(turns)}
    cpu = base["device"] == "cpu"
    reduced = cpu or scale == "small"
    return {
        "machine": machine(),
        **{key: base[key] for key in ("device", "device_gb", "arithmetic")},
        "reduced": reduced,
        "scale": scale,
        "seconds": "of the process, on one core" if cpu else "of the clock",
        "memory": "resident size of the process, libraries included" if cpu else "of the card",
        "texts": name,
        "length_quantiles": {q: int(np.quantile(tokens, q)) for q in (0.1, 0.5, 0.9)},
        "windows_a_step": settings["windows"],
        "lora": {"rank": LORA["rank"], "targets": LORA["targets"]},
        "shapes": shapes,
        "goals": goals(shapes, reduced),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", choices=SCALES, default="real" if torch.cuda.is_available() else "small")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--contexts", type=int, nargs="+")
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--one-step", action="store_true", help="of the real shapes, for its memory")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        if given.one_step:
            write_result("gpu_one_step", one_steps(given.shapes, Path(temporary)))
        else:
            contexts = tuple(given.contexts or SCALES[given.scale]["contexts"])
            write_result("gpu", run(given.scale, given.shapes, contexts, given.rounds, given.steps, Path(temporary)))
