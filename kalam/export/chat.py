"""An exported model in the terminal, to be tried by a person.

python -m kalam.export.chat results/<project>/exports/<run>.<quantisation>.gguf [--temperature 0.8] [--length 200]

A model whose tokenizer has a chat template answers, any other one continues what is typed. An empty line or
the end of the input ends it.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

TOOLS = "results/.tools/llama.cpp-*/python"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m kalam.export.chat", description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="the GGUF")
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--length", type=int, default=200, help="tokens of an answer")
    parser.add_argument("--context", type=int, default=0, help="tokens of context; the model's own where 0")
    given = parser.parse_args()
    if not given.file.is_file():
        parser.error(f"{given.file}: no such file")
    if not (tools := sorted(Path.cwd().glob(TOOLS))):
        parser.error(f"no {TOOLS} here; it is built with the first export")
    sys.path.insert(0, str(tools[-1]))
    from llama_cpp import Llama

    try:
        model = Llama(str(given.file), n_ctx=given.context, verbose=False)
    except ValueError:  # which says no more than that
        sys.exit(f"error: {given.file}: llama.cpp cannot load it; allowed is the GGUF of a model, not of an adapter")
    talk(model, given.temperature, given.length)


def talk(model, temperature: float, length: int) -> None:
    """Read a line and print the model's answer as it comes, until a line is empty or there is none.

    Where more was said than the model can see, the oldest part of it is left out, and a line says so.
    """
    has_template = "tokenizer.chat_template" in model.metadata
    settings = {"temperature": temperature, "max_tokens": length, "stream": True}
    messages: list[dict[str, str]] = []
    prompt = "you> " if has_template else "begin> "
    while line := _read(prompt):
        if has_template:
            messages.append({"role": "user", "content": line})
            said = _print(_answers(model, messages, settings))
            if messages:
                messages.append({"role": "assistant", "content": said})
        else:
            print(line, end="")
            _print(_continuation(model, line, length, settings))


def _continuation(model, line: str, length: int, settings: dict[str, Any]) -> Iterator[str]:
    """What follows a line, or the last part of it that leaves room for an answer, by half of the context at least."""
    tokens = model.tokenize(line.encode(), add_bos=True, special=False)
    room = max(model.n_ctx() - length, model.n_ctx() // 2)
    if len(tokens) > room:
        print(f"\n({len(tokens)} tokens; the model sees {model.n_ctx()}, so the last {room} are continued)")
    for part in model.create_completion(tokens[-room:] if len(tokens) > room else line, **settings):
        yield part["choices"][0]["text"]


def _answers(model, messages: list[dict[str, str]], settings: dict[str, Any]) -> Iterator[str]:
    """The answer to what was said; the oldest turns of `messages` go, in place, until the model can see the rest."""
    left_out = 0
    while True:
        try:
            parts = iter(model.create_chat_completion(messages, **settings))
            first = list(islice(parts, 1))
            break
        except ValueError as error:
            if "exceed context window" not in str(error):
                raise
        if len(messages) == 1:
            print(f"(too much for the model, which sees {model.n_ctx()} tokens in all; say less)")
            messages.clear()
            return
        del messages[:2]  # a question and its answer
        left_out += 1
    if left_out:
        sees = f"the model sees {model.n_ctx()} tokens"
        print(f"({sees}: {left_out} of the oldest questions and their answers are left out)")
    for part in chain(first, parts):
        yield part["choices"][0]["delta"].get("content") or ""


def _print(pieces: Iterable[str]) -> str:
    said = []
    for piece in pieces:
        said.append(piece)
        print(piece, end="", flush=True)
    print()
    return "".join(said)


def _read(prompt: str) -> str:
    try:
        return input(prompt)
    except EOFError:
        return ""


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
