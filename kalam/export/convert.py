"""Merged models and adapters as GGUF, by llama.cpp's own converter and quantiser."""

import os
import sys
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path

from kalam.export import converter
from kalam.export.tools import run
from kalam.files.errors import InputError
from kalam.files.jsonl import read_json
from kalam.text.tokens import PATTERN

# The pattern a tokenizer was trained with, and what llama.cpp calls it.
PRE_TOKENISERS = {PATTERN: "qwen35"}
F32 = "f32"  # the one the others are made from
CHUNK = 256  # tokens


def convert(tools: str | Path, model: str | Path, target: str | Path) -> None:
    """A model folder as a GGUF in fp32. Raises InputError for one that llama.cpp has no converter for."""
    pre = pre_tokeniser(model)
    _converter(tools, pre, "convert_hf_to_gguf.py", ["--outtype", F32, str(model)], target)


def convert_projector(tools: str | Path, model: str | Path, target: str | Path) -> None:
    """What stands before the language model of a model that sees, as a GGUF of its own."""
    _converter(tools, converter.KNOWN, "convert_hf_to_gguf.py", ["--mmproj", "--outtype", "f16", str(model)], target)


def convert_adapter(tools: str | Path, adapter: str | Path, base: str | Path, target: str | Path) -> None:
    """A LoRA adapter as a GGUF in fp32, to be loaded beside its base."""
    options = ["--outtype", F32, "--base", str(base), str(adapter)]
    _converter(tools, converter.KNOWN, "convert_lora_to_gguf.py", options, target)


def importance(tools: str | Path, model: str | Path, texts: Iterable[str], chunks: int, target: str | Path) -> None:
    """The importance matrix of a GGUF on at most `chunks` windows of a text: what of each weight is used."""
    with _whole(target) as temporary:
        text = temporary.with_name(f"{temporary.name}.txt")
        text.write_text("\n\n".join(texts), encoding="utf-8")
        options = ["-f", str(text), "-o", str(temporary), "-c", str(CHUNK), "-b", str(CHUNK), "--chunks", str(chunks)]
        try:
            _program(tools, "llama-imatrix", ["-m", str(model), *options, "-t", _threads(), "-ngl", "0", "--no-ppl"])
        finally:
            text.unlink()


def quantise(tools: str | Path, model: str | Path, kind: str, matrix: str | Path | None, target: str | Path) -> None:
    """A GGUF in fp32 in another type (`f16`, `q8_0`, `q4_k_m`), with an importance matrix for k-quants."""
    with _whole(target) as temporary:
        options = ["--imatrix", str(matrix)] if matrix else []
        _program(tools, "llama-quantize", [*options, str(model), str(temporary), kind.upper(), _threads()])


def pre_tokeniser(model: str | Path) -> str:
    """llama.cpp's name of the pre-tokeniser of a folder's tokenizer, where it was trained here."""
    file = Path(model) / "tokenizer.json"
    if not file.exists():
        return converter.KNOWN
    before = read_json(file)["pre_tokenizer"] or {}
    patterns = [part.get("pattern", {}).get("Regex") for part in before.get("pretokenizers", [before])]
    return next((PRE_TOKENISERS[pattern] for pattern in patterns if pattern in PRE_TOKENISERS), converter.KNOWN)


def _converter(tools: str | Path, pre: str, script: str, options: list[str], target: str | Path) -> None:
    with _whole(target) as temporary:
        # `.gguf` last, or the converter puts a name of its own there.
        command = [sys.executable, converter.__file__, str(Path(tools).resolve()), pre, script]
        run([*command, *options, "--outfile", str(temporary)], script)


def _program(tools: str | Path, name: str, arguments: list[str]) -> None:
    run([str(Path(tools).resolve() / "bin" / name), *arguments], name)


def _threads() -> str:
    return os.environ.get("OMP_NUM_THREADS", "1")


@contextmanager
def _whole(target: str | Path):
    """A temporary name for a file; it becomes `target` when the block succeeds. Raises InputError where a program
    ended well and left nothing, or no GGUF."""
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".tmp-{target.name}")
    try:
        yield temporary
        if not temporary.exists() or temporary.open("rb").read(4) != b"GGUF":
            raise InputError(f"{target}: the tool ended well and left no GGUF")
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
