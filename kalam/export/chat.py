"""An exported model in the terminal, to be tried by a person.

python -m kalam.export.chat results/<project>/exports/<run>.<quantisation>.gguf [--temperature 0.8] [--length 200]

A model whose tokenizer has a chat template answers, any other one continues what is typed. An empty line or
the end of the input ends it.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

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

    model = Llama(str(given.file), n_ctx=given.context, verbose=False)
    talk(model, given.temperature, given.length)


def talk(model, temperature: float, length: int) -> None:
    """Read a line and print the model's answer as it comes, until a line is empty or there is none."""
    has_template = "tokenizer.chat_template" in model.metadata
    messages: list[dict[str, str]] = []
    prompt = "you> " if has_template else "begin> "
    while line := _read(prompt):
        messages.append({"role": "user", "content": line})
        if not has_template:
            print(line, end="")
        pieces = []
        for piece in _stream(model, messages if has_template else line, temperature, length):
            pieces.append(piece)
            print(piece, end="", flush=True)
        messages.append({"role": "assistant", "content": "".join(pieces)})
        print()


def _read(prompt: str) -> str:
    try:
        return input(prompt)
    except EOFError:
        return ""


def _stream(model, asked: str | list[dict[str, str]], temperature: float, length: int) -> Iterator[str]:
    settings = {"temperature": temperature, "max_tokens": length, "stream": True}
    if isinstance(asked, str):
        for part in model.create_completion(asked, **settings):
            yield part["choices"][0]["text"]
    else:
        for part in model.create_chat_completion(asked, **settings):
            yield part["choices"][0]["delta"].get("content") or ""


if __name__ == "__main__":
    main()
