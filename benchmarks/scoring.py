"""Scoring of texts longer than the context, beside lm-evaluation-harness: seconds for the same windows.

python -m benchmarks.scoring        (wants lm_eval, and real texts in KALAM_DATA, else the sample texts)

Both are given the same model, and the same windows: the harness as requests of context and continuation in batches of
as many. They take turns; the first turn warms up. Without a GPU these are small models in fp32 and the seconds those of
one core (scoring.json); on one they are the shapes of `benchmarks.gpu` in bf16 and the seconds the clock's
(gpu_scoring.json). The harness adds up each window's log-likelihoods in fp32; what both are beside the sums in fp64,
from whole logits, is given with them.

What can be saved. Both pass every token of every window through the body of the model, in batches of like length. The
harness makes logits of all positions and their log-softmax; Kalam those of scored positions, a slice of the vocabulary
at a time. So the ratio is about (body + share * layer) / (body + layer + softmax), where `share` is that of the scored
positions: little is saved where the layers before the last one are most of the work, and more than `share` where the
vocabulary is.

Why no cache is kept from one window to the next. A token is scored as the window it stands in gives it: that opens with
the prefix token and sees nothing before its first byte. The keys and values that the window before has of the tokens
both see were made with that window's beginning in sight, from the second layer on. They are those of the new window
only where no path through the layers reaches from the part both see to before it: where every layer's attention is
local, and layers times reach are less than what both see. That holds for none of the architectures here (256 tokens in
eight layers reach over 2,000) nor, at contexts of some KB, for those of hubs. With one layer in full attention, as
Gemma 3 has every sixth, the reach is the whole window; a recurrent state sums up all that was ever read. The keys and
values of the first layer alone have nothing before them in sight; but they are a tenth of that layer's work. So what
both windows see is passed through the body twice.
"""

import importlib.metadata
import math
import os
import statistics
import sys
from pathlib import Path

import torch

from benchmarks.gpu import SHAPES
from benchmarks.gpu_training import now
from benchmarks.workflow import ROOT, machine, write_result
from kalam.evaluation.perplexity import Window, encode, score, windows
from kalam.files.jsonl import read_jsonl
from kalam.machine.devices import device_name
from kalam.models.scratch import initialise
from kalam.text.tokens import prefix_token, train_tokenizer

GPU = torch.cuda.is_available()
CONTEXT, STRIDE, BATCH, ROUNDS = (8192, 4096, 8, 3) if GPU else (4096, 2048, 8, 2)
DOCUMENTS, SIZE = (8, 60_000) if GPU else (2, 12_000)  # texts, and bytes of each
COMMON = {"max_position_embeddings": 4096, "tie_word_embeddings": True, "num_hidden_layers": 8}
SMALL = COMMON | {"hidden_size": 320, "intermediate_size": 896, "num_attention_heads": 4, "head_dim": 80}
WIDE = SMALL | {"hidden_size": 128, "intermediate_size": 384, "head_dim": 32}
ON_GPU = {name: (shape | {"max_position_embeddings": 4096}, shape["vocab_size"]) for name, shape in SHAPES.items()}
ON_CPU = {  # an architecture, and the rows of its vocabulary where those are more than the tokenizer's pieces
    "llama": ({"model_type": "llama"} | SMALL, None),
    "gemma3, sliding window": ({"model_type": "gemma3_text", "sliding_window": 256} | SMALL, None),
    "llama, 262144 pieces": ({"model_type": "llama"} | WIDE, 262_144),
}


def texts() -> tuple[str, list[str]]:
    """What is read, and texts of SIZE bytes."""
    real = Path(os.environ.get("KALAM_DATA", ROOT.parent / "shared" / "data")) / "corpora/bn/majantali/docs.jsonl"
    name, file = (
        ("real texts: bn, majantali", real)
        if real.exists()
        else ("sample texts: bn", ROOT / "resources/bangla/everyday.jsonl")
    )
    text = "\n".join(row["text"] for row in read_jsonl(file)).encode()
    pieces = [text[SIZE * number : SIZE * (number + 1)] for number in range(DOCUMENTS)]
    return name, [piece.decode(errors="ignore") for piece in pieces]


def harness(model, tokenizer, sample: list[str], cut: list[Window]) -> float:
    """The negative log-likelihood of the windows' scored tokens by lm-evaluation-harness, in nats."""
    from lm_eval.models.huggingface import HFLM

    for text in sample:  # which it does itself where it is not given tokens
        tokenizer(text, add_special_tokens=False)
    peer = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=BATCH, max_length=COMMON["max_position_embeddings"])
    requests = [(("", ""), w.tokens[: -w.scored], w.tokens[-w.scored :]) for w in cut]
    return -math.fsum(found for found, _ in peer._loglikelihood_tokens(requests, disable_tqdm=True))


def kalam(model, tokenizer, sample: list[str]) -> float:
    documents = [{"id": text[:9], "group": "", "register": "", "text": text} for text in sample]
    return math.fsum(row["nll"] for row in score(model, tokenizer, documents, CONTEXT, STRIDE, BATCH))


def exact(model, cut: list[Window]) -> float:
    """The same from whole logits, their softmax in fp64."""
    total = []
    for window in cut:
        with torch.inference_mode():
            ids = torch.tensor([window.tokens], device=model.device)
            logits = model(ids, use_cache=False).logits[0, -window.scored - 1 : -1]
        for row, token in zip(logits, window.tokens[-window.scored :], strict=True):
            total.append(float(row.double().logsumexp(-1) - row[token].double()))
    return math.fsum(total)


def compare(architecture: dict, rows: int | None, tokenizer, sample: list[str]) -> dict[str, object]:
    of_files = ("vocab_size", "sliding_window_pattern")  # the tokenizer's, and by another name in transformers' own
    architecture = {key: value for key, value in architecture.items() if key not in of_files}
    model = initialise(architecture, tokenizer, 0).eval()
    if rows is not None:
        model.resize_token_embeddings(rows, mean_resizing=False)
    if GPU:
        model.to("cuda", torch.bfloat16)
    cut = [
        window
        for number, text in enumerate(sample)
        for window in windows(number, *encode(tokenizer, text)[:2], prefix_token(tokenizer), CONTEXT, STRIDE)
    ]
    ways = {"kalam": lambda: kalam(model, tokenizer, sample), "harness": lambda: harness(model, tokenizer, sample, cut)}
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    sums = {}
    for number in range(ROUNDS + 1):
        for way, function in ways.items():
            started = now()
            sums[way] = function()
            seconds[way] += [now() - started] * (number > 0)
    true, tokens = exact(model, cut), sum(len(window.tokens) for window in cut)
    ratios = [ours / theirs for ours, theirs in zip(*seconds.values(), strict=True)]
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "windows": len(cut),
        "share_scored": round(sum(window.scored for window in cut) / tokens, 3),
        "tokens": tokens,
        "ratio": round(statistics.median(ratios), 2),
        "ratios": [round(ratio, 2) for ratio in sorted(ratios)],
        **{f"{way}_seconds": [round(value, 2) for value in some] for way, some in seconds.items()},
        **{f"{way}_beside_fp64": float(f"{found / true - 1:.1e}") for way, found in sums.items()},
        "kalam_beside_harness": float(f"{sums['kalam'] / sums['harness'] - 1:.1e}"),
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    name, sample = texts()
    tokenizer = train_tokenizer(sample, 3000)
    results = {}
    for model, (architecture, rows) in (ON_GPU if GPU else ON_CPU).items():
        results[model] = compare(architecture, rows, tokenizer, sample)
        print(model, results[model], file=sys.stderr, flush=True)
    write_result(
        "gpu_scoring" if GPU else "scoring",
        {
            "machine": machine(),
            "device": device_name(),
            "arithmetic": "bf16" if GPU else "fp32",
            "load_average": [round(load, 1) for load in os.getloadavg()],
            "lm_eval": importlib.metadata.version("lm_eval"),
            "torch": torch.__version__,
            "texts": name,
            "bytes": SIZE * DOCUMENTS,
            "context": CONTEXT,
            "stride": STRIDE,
            "windows_a_batch": BATCH,
            "models": results,
        },
    )
