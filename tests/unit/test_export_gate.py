"""The comparison of an export with its original: the figures are right, and what is out of bounds fails."""

import math

import pytest
import torch

from kalam.evaluation.perplexity import Window
from kalam.export.gate import (
    compare,
    compare_continuations,
    logits_of,
    require_bounds,
    require_continuations,
    require_ids,
)
from kalam.export.heldout import NEW_TOKENS, HeldOut
from kalam.files.errors import InputError

WINDOWS = [Window(0, [0, 1, 2, 3], 3), Window(0, [0, 2, 3, 1], 1)]
BOUND = {"divergence": 0.01, "agreement": 0.9}


def logits(seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(len(window.tokens), 5, generator=generator) for window in WINDOWS]


def test_divergence_agreement_and_nll_are_those_of_the_scored_positions():
    first, second = logits(0), logits(1)
    found = compare(WINDOWS, first, second)
    divergence, same, nll = 0.0, 0, 0.0
    for window, one, other in zip(WINDOWS, first, second, strict=True):
        for at in range(len(window.tokens) - window.scored, len(window.tokens)):
            p, q = (row[at - 1].double().softmax(-1) for row in (one, other))
            divergence += float((p * (p / q).log()).sum())
            same += int(p.argmax() == q.argmax())
            nll -= math.log(q[window.tokens[at]])
    assert found["positions"] == 4
    assert found["divergence"] == pytest.approx(divergence / 4)
    assert found["agreement"] == same / 4
    assert found["nll"] == pytest.approx(nll)


def test_a_constant_added_to_every_logit_is_no_difference():
    found = compare(WINDOWS, logits(), [row + 3 for row in logits()])
    assert found["divergence"] == pytest.approx(0, abs=1e-7)
    assert found["agreement"] == 1


@pytest.mark.parametrize(
    ("figures", "message"),
    [
        ({"divergence": 0.02, "agreement": 1.0}, "x: KL divergence 0.02 nats a token; allowed is up to 0.01"),
        ({"divergence": math.nan, "agreement": 1.0}, "x: KL divergence nan"),
        ({"divergence": 0.0, "agreement": 0.8}, "x: 80.00% of the likeliest tokens agree; allowed is 90.00% or more"),
    ],
)
def test_what_is_out_of_its_bound_fails_with_the_figure(figures, message):
    with pytest.raises(InputError, match=message):
        require_bounds("x", figures, BOUND)
    require_bounds("x", {"divergence": 0.01, "agreement": 0.9}, BOUND)


def test_a_logit_that_is_nan_fails():
    broken = logits()
    broken[0][2, 1] = math.nan
    with pytest.raises(InputError, match="KL divergence nan"):
        require_bounds("x", compare(WINDOWS, logits(), broken), BOUND)


def heldout(ids) -> HeldOut:
    return HeldOut(["কখ"], lambda text: {"plain": ids, "special": [0, *ids]}, WINDOWS, 6, [[0, 1]])


@pytest.mark.parametrize(
    ("plain", "special", "message"),
    [
        ([3, 4], [0, 3, 5], r"2 for 2, the first at 1: \[4\] for \[5\]"),
        ([3, 5, 6], [0, 3, 5], r"3 for 2, the first at 2: \[6\] for \[\]"),
        ([3, 5], [3, 5], r"2 for 3, the first at 0"),
    ],
)
def test_other_token_ids_fail_at_the_first(plain, special, message):
    assert require_ids("x", heldout([3, 5]), lambda text: {"plain": [3, 5], "special": [0, 3, 5]}) == 2
    with pytest.raises(InputError, match=message):
        require_ids("x", heldout([3, 5]), lambda text: {"plain": plain, "special": special})


class Counting(torch.nn.Module):
    """Says that the next token is the last one plus one; the one after that is `near` below it."""

    def __init__(self, near: float):
        super().__init__()
        self.weight, self.near = torch.nn.Parameter(torch.zeros(1)), near

    def forward(self, input_ids, use_cache):
        logits = torch.full((1, input_ids.shape[1], 60), -10.0)
        for at, token in enumerate(input_ids[0].tolist()):
            logits[0, at, (token + 1) % 60], logits[0, at, (token + 2) % 60] = 0.0, -self.near
        return type("Output", (), {"logits": logits})


def test_greedy_continuations_are_equal_but_for_ties():
    right = list(range(2, 2 + NEW_TOKENS))
    other = [*right[:5], 8, *range(9, 27)]
    for near, found, gap in ((1.0, right, 0.0), (1.0, other, 1.0), (0.001, other, 0.001)):
        figures = compare_continuations(Counting(near), heldout([3]), [found])
        assert figures == {"prompts": 1, "equal": int(found == right), "gap": pytest.approx(gap, abs=1e-5)}
        if gap == 1.0:
            with pytest.raises(InputError, match="1 of 1 greedy continuations differ, by 1 in the logits"):
                require_continuations("x", figures, "f16")
            require_continuations("x", figures, "q4_k_m")
        else:
            require_continuations("x", figures, "f32")
    assert compare_continuations(Counting(1.0), heldout([3]), [right[:-1]])["gap"] == math.inf


def test_two_models_read_in_turn_leave_gradients_as_they_were(tiny):
    windows = [[1, 2, 3], [4, 5]]
    for _ in zip(logits_of(tiny(), windows), logits_of(tiny(), windows), strict=True):
        assert torch.is_grad_enabled()
    assert torch.is_grad_enabled()
