"""Readers in processes of their own: a silent, failing, dying or wrong one fails, with a reason, and none is left."""

import os

import numpy as np
import pytest

from kalam.export.reader_process import ReaderProcess
from kalam.files.code import ROOT
from kalam.files.errors import InputError

REQUEST = {"windows": [[0, 1]], "prompts": [[0]], "new_tokens": 1}
FAKE = """
import json, os, sys
import numpy as np
from kalam.export import reader_process

class Fake:
    vocabulary = 3
    def encode(self, text, special): return [len(text), special]
    def logits(self, tokens): return np.zeros((len(tokens), 3), np.float32)
    def greedy(self, tokens, count): return [0] * count

class Short(Fake):
    def logits(self, tokens): sys.exit('no more')

class Long(Fake):
    def logits(self, tokens): return np.zeros((len(tokens) + 1, 3), np.float32)

class Mute(Fake):
    def greedy(self, tokens, count): sys.exit('lost for words')

def answer(load):
    def noisily():
        print('what a library prints')
        return load()
    reader_process.answer(noisily)

def say(line, then=''):
    sys.stdin.readline()
    os.write(1, line.encode())
    sys.exit(then)

HEADER = '{"vocabulary": 3, "load_seconds": 0.5}\\n'
LOGITS = chr(0) * 24
"""
READERS = {
    "silent": ("pass", "before it had loaded (status 0): it said nothing"),
    "printing": ("print('hello')", "before it had loaded (it answered 'hello'): it said nothing"),
    "printing JSON": ("print('5')", "before it had loaded (it answered '5'): it said nothing"),
    "printing binary": (
        "os.write(1, bytes([255, 10]))",
        "before it had loaded (it answered '\ufffd')",
    ),
    "failing": ("sys.exit('no such file')", "before it had loaded (status 1): no such file"),
    "failing twice": ("print('one\\ntwo\\n', file=sys.stderr); sys.exit(3)", "before it had loaded (status 3): two"),
    "dying": ("os.kill(os.getpid(), 4)", "before it had loaded (signal SIGILL): it said nothing"),
    "half a header": ("say(HEADER[:20], 'cut')", 'before it had loaded (it answered \'{"vocabulary": 3, "l\')'),
    "no vocabulary": ("say(HEADER.replace('3', '0'))", 'before it had loaded (it answered \'{"vocabulary": 0'),
    "ending early": ("answer(Short)", "after 0 of 1 windows (status 1): no more"),
    "half a window": ("say(HEADER + LOGITS[:10], 'cut')", "after 0 of 1 windows (status 1): cut"),
    "a row too many": ("answer(Long)", "before its continuations (it answered '"),
    "no continuations": ("answer(Mute)", "before its continuations (status 1): lost for words"),
    "a prompt missing": (
        "say(HEADER + LOGITS + '{\"continuations\": []}\\n')",
        "before its continuations (it answered '{\"continuations\": []}')",
    ),
    "another answer": ("say(HEADER + LOGITS + '[1]\\n')", "before its continuations (it answered '[1]')"),
    "saying more": (
        "say(HEADER + LOGITS + '{\"continuations\": [[0]]}\\n' + '12345 ' * 99999)",
        "after its answer (it answered '12345 12345",
    ),
    "ending badly": ("answer(Fake); sys.exit('late')", "after its answer (status 1): late"),
}


@pytest.fixture
def reader(tmp_path):
    """A reader that runs a line of Python."""

    def start(body: str, request: dict = REQUEST) -> ReaderProcess:
        (tmp_path / "fake_reader.py").write_text(f"{FAKE}\nif __name__ == '__main__':\n    {body}\n")
        return ReaderProcess("x.gguf", ["fake_reader"], request, {"PYTHONPATH": f"{tmp_path}:{ROOT}"})

    return start


@pytest.mark.parametrize("kind", READERS)
def test_a_reader_that_fails_is_an_error_with_its_reason(reader, kind):
    body, message = READERS[kind]
    with pytest.raises(InputError) as raised, reader(body) as process:
        list(process.logits())
        process.continuations()
    assert str(raised.value).startswith(f"x.gguf: the reader ended {message}")


def test_a_reader_that_ends_before_it_reads_a_long_request_is_an_error_with_its_reason(reader):
    """Longer than a pipe holds, so that the writing breaks."""
    with pytest.raises(InputError, match=r"^x.gguf: the reader ended before it read anything .status 1.: no memory$"):
        reader("sys.exit('no memory')", REQUEST | {"windows": [[0] * 200_000]})


def test_a_reader_that_answers_is_read(reader):
    with reader("answer(Fake)") as process:
        assert process.encode("কলম") == {"plain": [3, False], "special": [3, True]}
        assert process.encode("কলম\n" * 50_000) == {"plain": [200_000, False], "special": [200_000, True]}
        assert process.header["load_seconds"] >= 0
        (window,) = process.logits()
        assert window.shape == (2, 3)
        assert window.dtype == np.float32
        assert process.continuations() == [[0]]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("say(HEADER, 'no more')", "before all texts (status 1): no more"),
        ("say(HEADER + '{\"plain\": [1]}\\n')", "before all texts (it answered '{\"plain\": [1]}')"),
    ],
)
def test_a_reader_that_does_not_answer_a_text_is_an_error_with_its_reason(reader, body, message):
    with pytest.raises(InputError) as raised, reader(body) as process:
        process.encode("কলম")
    assert str(raised.value).startswith(f"x.gguf: the reader ended {message}")


def test_no_reader_is_left_when_whoever_asked_fails(reader, tmp_path):
    """It waits for its answer to be read, which is longer than a pipe holds."""
    noted = tmp_path / "pid"
    body = f"open({str(noted)!r}, 'w').write(str(os.getpid())); answer(Fake)"
    with pytest.raises(KeyError), reader(body, REQUEST | {"windows": [[0, 1]] * 10_000}):
        raise KeyError
    with pytest.raises(ProcessLookupError):
        os.kill(int(noted.read_text()), 0)
