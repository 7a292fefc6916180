"""A reader: a process of its own that loads an exported file and answers a request over a pipe.

Only a fresh process shows what others get who load the file, and a library that crashes in it takes
nothing with it. The request is one line of JSON on the standard input: windows, prompts, new_tokens. The
answer on the standard output is a line of JSON (vocabulary, load_seconds). Then each text is a line of JSON,
answered before the next by one with its token ids (plain and special); after the last of them come the logits
of each window as raw float32 [tokens, vocabulary], and a line of JSON with the greedy continuations of the
prompts. Anything missing, malformed or beyond that is an error, and so is a reader that ends badly after its
answer.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Protocol

import numpy as np

from kalam.files.code import ROOT
from kalam.files.errors import InputError

SHOWN = 40  # characters of a wrong answer, in its error


class Reader(Protocol):
    """What a reader needs of a loaded model."""

    vocabulary: int

    def encode(self, text: str, special: bool) -> list[int]:
        """Token ids of the text alone, or with the special tokens that the tokenizer adds or finds in it."""

    def logits(self, tokens: Sequence[int]) -> np.ndarray:
        """float32 [tokens, vocabulary]."""

    def greedy(self, tokens: Sequence[int], count: int) -> list[int]:
        """The next `count` tokens, the likeliest each time."""


class ReaderProcess:
    """A reader at work: `header` (vocabulary, load_seconds), encode() of texts, logits() once, then continuations().

    Use it as a context manager. Each part raises InputError, with the last line of the reader's errors, where the
    reader ends before it or answers something else.
    """

    def __init__(self, name: str, command: Sequence[str], request: dict[str, Any], environment: dict[str, str]):
        self.name, self.request = name, request
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 closed with the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=ROOT,
            env=os.environ | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        try:
            self._write(self.request, "before it read anything")
            self.header = self._read_header()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "ReaderProcess":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """End the reader, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        self._end_of_texts()
        self._process.stdout.close()
        self._errors.close()

    def encode(self, text: str) -> dict[str, list[int]]:
        """The token ids of a text: `plain`, and `special` with special tokens."""
        self._write(text, "before all texts")
        return self._line("before all texts", lambda line: len(line["plain"]) + len(line["special"]) >= 0)

    def logits(self) -> Iterator[np.ndarray]:
        """float32 [tokens, vocabulary] of each window, in order. No text may follow."""
        self._end_of_texts()
        windows, columns = self.request["windows"], self.header["vocabulary"]
        for number, window in enumerate(windows):
            size = len(window) * columns * np.dtype(np.float32).itemsize
            if len(data := self._process.stdout.read(size)) < size:
                raise self._ended(f"after {number} of {len(windows)} windows")
            yield np.frombuffer(bytearray(data), np.float32).reshape(len(window), columns)

    def continuations(self) -> list[list[int]]:
        """The tokens after each prompt; nothing may follow them, and the reader must end well."""
        prompts = len(self.request["prompts"])
        found = self._line("before its continuations", lambda line: len(line["continuations"]) == prompts)
        if extra := self._process.stdout.read(SHOWN):
            raise self._answered("after its answer", extra)
        if self._process.wait():
            raise self._ended("after its answer")
        return found["continuations"]

    def _write(self, value: Any, when: str) -> None:
        try:
            self._process.stdin.write(json.dumps(value).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._ended(when) from None

    def _end_of_texts(self) -> None:
        with suppress(BrokenPipeError):  # it has ended, which is told where its answer is wanted
            self._process.stdin.close()

    def _read_header(self) -> dict[str, Any]:
        return self._line("before it had loaded", lambda line: line["vocabulary"] > 0 and line["load_seconds"] >= 0)

    def _line(self, when: str, valid: Callable[[Any], bool]) -> dict[str, Any]:
        if not (line := self._process.stdout.readline()):
            raise self._ended(when)
        try:
            found = json.loads(line)
            accepted = valid(found)
        except (ValueError, TypeError, LookupError):
            accepted = False
        if not accepted:
            raise self._answered(when, line)
        return found

    def _answered(self, when: str, data: bytes) -> InputError:
        self._process.kill()
        self._process.wait()
        return self._error(when, f"it answered {data.decode(errors='replace').strip()[:SHOWN]!r}")

    def _ended(self, when: str) -> InputError:
        status = self._process.wait()
        return self._error(when, f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}")

    def _error(self, when: str, how: str) -> InputError:
        self._errors.seek(0)
        lines = [line for line in self._errors.read().decode(errors="replace").splitlines() if line.strip()]
        return InputError(f"{self.name}: the reader ended {when} ({how}): {lines[-1] if lines else 'it said nothing'}")


def answer(load: Callable[[], Reader]) -> None:
    """The reader's side: answer what comes on the standard input with the model that `load` gives."""
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no part of the answer
    request = json.loads(sys.stdin.readline())
    started = time.monotonic()
    reader = load()
    seconds = time.monotonic() - started
    pipe.write(json.dumps({"vocabulary": reader.vocabulary, "load_seconds": seconds}).encode() + b"\n")
    pipe.flush()
    for line in sys.stdin:
        ids = {key: reader.encode(json.loads(line), key == "special") for key in ("plain", "special")}
        pipe.write(json.dumps(ids).encode() + b"\n")
        pipe.flush()
    for window in request["windows"]:
        pipe.write(np.ascontiguousarray(reader.logits(window), np.float32).tobytes())
    found = [reader.greedy(prompt, request["new_tokens"]) for prompt in request["prompts"]]
    pipe.write(json.dumps({"continuations": found}).encode() + b"\n")
    pipe.close()
