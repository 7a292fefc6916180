"""A reader in a process of its own: what it makes of texts and windows, over a pipe.

A stranger's view of a file is worth having only from a fresh process, and a tool that crashes there
takes nothing with it. The request is one line of JSON on the standard input (texts, windows, prompts,
new_tokens); the answer is a line of JSON, the logits of each window as raw float32 [tokens,
vocabulary], and a line of JSON with the greedy continuations of the prompts. Whatever is missing of
it is a failure: silence never passes.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from kalam.files.code import ROOT
from kalam.files.errors import InputError


class Reader(Protocol):
    """What a reading process needs of a loaded model."""

    vocabulary: int

    def encode(self, text: str, usual: bool) -> list[int]:
        """Token ids of the text alone, or, as usual, of the text as the tokenizer wraps it."""

    def logits(self, tokens: Sequence[int]) -> np.ndarray:
        """float32 [tokens, vocabulary]."""

    def greedy(self, tokens: Sequence[int], count: int) -> list[int]:
        """The `count` tokens that come next, the likeliest each time."""


class Reading:
    """The answer of a reader: `header` (plain, usual, vocabulary, load_seconds), logits() once, then
    continuations(). Use it as a context manager; every part raises InputError where the reader ended
    before it, with the last that it said."""

    def __init__(self, name: str, command: Sequence[str], request: dict[str, Any], environment: dict[str, str]):
        self.name, self.windows = name, request["windows"]
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 closed with the reading
        self._process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=ROOT,
            env=os.environ | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
        )
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.close()
        except BrokenPipeError:
            raise self._ended("before it read anything") from None
        self.header = self._line("before it had loaded")

    def __enter__(self) -> "Reading":
        return self

    def __exit__(self, *_) -> None:
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
        self._said.close()

    def logits(self) -> Iterator[np.ndarray]:
        """float32 [tokens, vocabulary] of each window, in order."""
        columns = self.header["vocabulary"]
        for number, window in enumerate(self.windows):
            wanted = len(window) * columns * 4
            if len(data := self._process.stdout.read(wanted)) < wanted:
                raise self._ended(f"after {number} of {len(self.windows)} windows")
            yield np.frombuffer(bytearray(data), np.float32).reshape(len(window), columns)

    def continuations(self) -> list[list[int]]:
        """The tokens after each prompt; the reader must then end well."""
        found = self._line("before its continuations")["continuations"]
        if self._process.wait():
            raise self._ended("after its answer")
        return found

    def _line(self, when: str) -> dict[str, Any]:
        line = self._process.stdout.readline()
        try:
            return json.loads(line)
        except ValueError:
            raise self._ended(when, line.decode(errors="replace").strip()) from None

    def _ended(self, when: str, answered: str = "") -> InputError:
        if answered:
            self._process.kill()
        status = self._process.wait()
        how = f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"
        self._said.seek(0)
        lines = [line for line in self._said.read().decode(errors="replace").splitlines() if line.strip()]
        how, said = f"it answered {answered[:40]!r}" if answered else how, lines[-1] if lines else "it said nothing"
        return InputError(f"{self.name}: the reader ended {when} ({how}): {said}")


def answer(load: Callable[[], Reader]) -> None:
    """The reader's side: answer the request on the standard input with the model that `load` gives."""
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no part of the answer
    request = json.loads(sys.stdin.readline())
    started = time.monotonic()
    reader = load()
    seconds = time.monotonic() - started
    ids = {key: [reader.encode(text, key == "usual") for text in request["texts"]] for key in ("plain", "usual")}
    pipe.write(json.dumps({**ids, "vocabulary": reader.vocabulary, "load_seconds": seconds}).encode() + b"\n")
    for window in request["windows"]:
        pipe.write(np.ascontiguousarray(reader.logits(window), np.float32).tobytes())
    found = [reader.greedy(prompt, request["new_tokens"]) for prompt in request["prompts"]]
    pipe.write(json.dumps({"continuations": found}).encode() + b"\n")
    pipe.close()
