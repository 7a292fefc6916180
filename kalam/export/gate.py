"""The comparison of an exported model with the one it was made from, and the bounds it must keep."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from kalam.evaluation.perplexity import Window
from kalam.export.heldout import NEW_TOKENS, HeldOut
from kalam.export.reader_process import ReaderProcess
from kalam.files.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import torch

ROWS = 128  # positions at once: 128 x 262,144 numbers in fp64 are 0.3 GB
# Two logits nearer than this may change places: by rounding in fp32 (and by the 16 bits of llama.cpp's table of
# GELU, which Gemma uses), by the weights' precision in f16.
TIES = {"f32": 0.005, "f16": 0.05}


def logits_of(model: "torch.nn.Module", windows: Iterable[Sequence[int]]) -> "Iterator[torch.Tensor]":
    """float32 [tokens, vocabulary] of each window under a model of transformers."""
    import torch

    for tokens in windows:
        with torch.inference_mode():  # not around the yield: two such iterators, read in turn, would mix it up
            ids = torch.tensor([tokens], device=next(model.parameters()).device)
            logits = model(input_ids=ids, use_cache=False).logits[0].float().cpu()
        yield logits


def compare(
    windows: Sequence[Window], original: "Iterable[torch.Tensor]", exported: "Iterable[torch.Tensor | np.ndarray]"
) -> dict[str, float]:
    """positions; divergence (mean Kullback-Leibler divergence of the exported model from the original, nats
    a token); agreement (share of positions with the same likeliest token); largest (absolute difference of
    two logits); original_nll and nll (nats, summed over the scored tokens).

    A logit that is NaN makes the divergence NaN, which no bound allows.
    """
    import torch

    totals = torch.zeros(4, dtype=torch.float64)
    positions, largest = 0, 0.0
    for window, first, second in zip(windows, original, exported, strict=True):
        scored = torch.tensor(window.tokens[-window.scored :])
        pair = [torch.as_tensor(logits)[-window.scored - 1 : -1] for logits in (first, second)]
        for begin in range(0, window.scored, ROWS):
            targets = scored[begin : begin + ROWS]
            totals += _sums(*(logits[begin : begin + ROWS].double() for logits in pair), targets)
        positions += window.scored
        largest = max(largest, float((pair[0] - pair[1]).abs().max()))
    divergence, same, nll, other = totals.tolist()
    return {
        "positions": positions,
        "divergence": divergence / positions,
        "agreement": same / positions,
        "largest": largest,
        "original_nll": nll,
        "nll": other,
    }


def _sums(first: "torch.Tensor", second: "torch.Tensor", targets: "torch.Tensor") -> "torch.Tensor":
    import torch

    first, second = first.log_softmax(-1), second.log_softmax(-1)
    divergence = (first.exp() * (first - second)).sum()
    same = (first.argmax(-1) == second.argmax(-1)).sum()
    nll = [-logs.gather(1, targets[:, None]).sum() for logs in (first, second)]
    return torch.stack([divergence, same.double(), *nll])


def require_bounds(name: str, figures: dict[str, float], bound: dict[str, float]) -> None:
    """Raise InputError, with the figure, unless divergence and agreement are within their bounds."""
    if not figures["divergence"] <= bound["divergence"]:
        found, allowed = figures["divergence"], bound["divergence"]
        raise InputError(f"{name}: KL divergence {found:.3g} nats a token; allowed is up to {allowed:g}")
    if not figures["agreement"] >= bound["agreement"]:
        found, allowed = figures["agreement"], bound["agreement"]
        raise InputError(f"{name}: {found:.2%} of the likeliest tokens agree; allowed is {allowed:.2%} or more")


def require_ids(name: str, heldout: HeldOut, encode: Callable[[str], dict[str, list[int]]]) -> int:
    """The number of token ids compared, of the texts alone; `encode` gives those of a reader, as `heldout.ids` does.

    Raises InputError with the first of the reader's ids that are not the tokenizer's.
    """
    compared = 0
    for text in heldout.texts:
        expected, found = heldout.ids(text), encode(text)
        for kind, ours in expected.items():
            theirs = found[kind]
            if ours != theirs:
                at = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), len(ours))
                raise InputError(
                    f"{name}: other token ids than the tokenizer's ({len(theirs)} for {len(ours)}, the first at "
                    f"{at}: {theirs[at : at + 3]} for {ours[at : at + 3]}) in the text that begins {text[:40]!r}"
                )
        compared += len(expected["plain"])
    return compared


def compare_continuations(model: "torch.nn.Module", heldout: HeldOut, found: list[list[int]]) -> dict[str, Any]:
    """prompts; equal: how many greedy continuations are the original's; gap: at the first token that differs, the
    original's best logit less its logit of the token that was taken, the largest of all prompts."""
    import torch

    equal, gap = 0, 0.0
    for prompt, theirs in zip(heldout.prompts, found, strict=True):
        logits = next(logits_of(model, [[*prompt, *theirs]]))[len(prompt) - 1 : -1]
        best = logits.argmax(-1)
        wrong = (best != torch.tensor(theirs)).nonzero()
        if len(theirs) != NEW_TOKENS:
            gap = math.inf
        elif len(wrong):
            at = int(wrong[0])
            gap = max(gap, float(logits[at, best[at]] - logits[at, theirs[at]]))
        else:
            equal += 1
    return {"prompts": len(found), "equal": equal, "gap": gap}


def require_continuations(name: str, figures: dict[str, Any], precision: str) -> None:
    """Raise InputError where an exact precision continues a prompt otherwise than by a tie."""
    if figures["gap"] > TIES.get(precision, math.inf):
        raise InputError(
            f"{name}: {figures['prompts'] - figures['equal']} of {figures['prompts']} greedy continuations differ, by "
            f"{figures['gap']:.3g} in the logits; allowed are ties of {TIES[precision]:g}"
        )


def check_export(
    name: str,
    original: "torch.nn.Module",
    heldout: HeldOut,
    reader: ReaderProcess,
    bound: dict[str, float],
    precision: str,
) -> dict[str, Any]:
    """Every figure of an exported file compared with the model it was made from. Raises InputError at the first that
    is out of bounds."""
    compared = require_ids(name, heldout, reader.encode)
    figures = compare(heldout.windows, logits_of(original, heldout.window_ids), reader.logits())
    require_bounds(name, figures, bound)
    continued = compare_continuations(original, heldout, reader.continuations())
    require_continuations(name, continued, precision)
    nats = {"bits_per_byte": figures.pop("nll"), "original_bits_per_byte": figures.pop("original_nll")}
    return {
        **figures,
        **{key: nll / math.log(2) / heldout.bytes for key, nll in nats.items()},
        "tokens": compared,
        "continuations": continued,
        "load_seconds": round(reader.header["load_seconds"], 3),
        "bound": bound,
    }
