"""The gate: it measures what it says, and nothing that is wrong, silent or dead passes it."""

import math

import numpy as np
import pytest
import torch

from kalam.evaluation.perplexity import Window
from kalam.export import reading
from kalam.export.gate import compare, continuations, logits_of, require, require_continuations, require_ids
from kalam.export.heldout import NEW, HeldOut
from kalam.export.reading import Reading
from kalam.files.errors import InputError

WINDOWS = [Window(0, [0, 1, 2, 3], 3), Window(0, [0, 2, 3, 1], 1)]
REQUEST = {"texts": ["a"], "windows": [[0, 1]], "prompts": [[0]], "new_tokens": 1}
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


def test_a_constant_beside_every_logit_is_no_difference():
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
        require("x", figures, BOUND)
    require("x", {"divergence": 0.01, "agreement": 0.9}, BOUND)


def test_a_logit_that_is_no_number_fails():
    broken = logits()
    broken[0][2, 1] = math.nan
    with pytest.raises(InputError, match="KL divergence nan"):
        require("x", compare(WINDOWS, logits(), broken), BOUND)


def heldout(ids) -> HeldOut:
    return HeldOut(["কখ"], [ids], [[0, *ids]], WINDOWS, 6, [[0, 1]])


@pytest.mark.parametrize(
    ("plain", "usual", "message"),
    [
        ([3, 4], [0, 3, 5], r"2 for 2, the first at 1: \[4\] for \[5\]"),
        ([3, 5, 6], [0, 3, 5], r"3 for 2, the first at 2: \[6\] for \[\]"),
        ([3, 5], [3, 5], r"2 for 3, the first at 0"),
    ],
)
def test_other_token_ids_fail_at_the_first(plain, usual, message):
    assert require_ids("x", heldout([3, 5]), {"plain": [[3, 5]], "usual": [[0, 3, 5]]}) == 2
    with pytest.raises(InputError, match=message):
        require_ids("x", heldout([3, 5]), {"plain": [plain], "usual": [usual]})


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
    right = list(range(2, 2 + NEW))
    other = [*right[:5], 8, *range(9, 27)]
    for near, found, gap in ((1.0, right, 0.0), (1.0, other, 1.0), (0.001, other, 0.001)):
        figures = continuations(Counting(near), heldout([3]), [found])
        assert figures == {"prompts": 1, "equal": int(found == right), "gap": pytest.approx(gap, abs=1e-5)}
        if gap == 1.0:
            with pytest.raises(InputError, match="1 of 1 greedy continuations differ, by 1 in the logits"):
                require_continuations("x", figures, "f16")
            require_continuations("x", figures, "q4_k_m")
        else:
            require_continuations("x", figures, "f32")
    assert continuations(Counting(1.0), heldout([3]), [right[:-1]])["gap"] == math.inf


READERS = {
    "silent": ("", "the reader ended before it had loaded .status 0.: it said nothing"),
    "talking": ("print('hello')", "the reader ended before it had loaded .it answered 'hello'.: it said nothing"),
    "failing": ("sys.exit('no such file')", "the reader ended before it had loaded .status 1.: no such file"),
    "dying": ("os.kill(os.getpid(), 4)", "the reader ended before it had loaded .signal SIGILL."),
    "short": (
        "answer(lambda: Fake(2))",
        "the reader ended after 0 of 1 windows .status 1.: .*no more",
    ),
    "ending badly": ("answer(lambda: Fake(9)); sys.exit('late')", "the reader ended after its answer .status 1.: late"),
}
FAKE = """
import os, sys
import numpy as np
from kalam.export.reading import answer as plain
class Fake:
    vocabulary = 3
    def __init__(self, left): self.left = left
    def encode(self, text, usual): return [1]
    def logits(self, tokens):
        if self.left < 3: sys.exit('no more')
        return np.zeros((len(tokens), 3), np.float32)
    def greedy(self, tokens, count): return [0] * count
def answer(load):
    def noisily():
        print('what a library prints')
        return load()
    plain(noisily)
"""


@pytest.fixture
def reader(tmp_path):
    def make(body: str) -> Reading:
        (tmp_path / "fake_reader.py").write_text(
            FAKE + "if __name__ == '__main__':\n    sys.stdin.read(0)\n    " + body
        )
        return Reading("x", ["fake_reader"], REQUEST, {"PYTHONPATH": f"{tmp_path}:{reading.ROOT}"})

    return make


@pytest.mark.parametrize("kind", READERS)
def test_a_reader_that_is_silent_or_dies_fails(reader, kind):
    body, message = READERS[kind]
    with pytest.raises(InputError, match=f"^x: {message}"), reader(body or "pass") as found:
        list(found.logits())
        found.continuations()


def test_a_reader_that_answers_is_read(reader):
    with reader("answer(lambda: Fake(9))") as found:
        assert found.header["plain"] == [[1]]
        assert found.header["load_seconds"] >= 0
        (window,) = found.logits()
        assert window.shape == (2, 3)
        assert window.dtype == np.float32
        assert found.continuations() == [[0]]


def test_two_that_wait_for_one_another_leave_gradients_as_they_were(tiny):
    sights = [[1, 2, 3], [4, 5]]
    for _ in zip(logits_of(tiny(), sights), logits_of(tiny(), sights), strict=True):
        assert torch.is_grad_enabled()
    assert torch.is_grad_enabled()
