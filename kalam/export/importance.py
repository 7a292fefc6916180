"""The importance matrix of a model: which of its weights a quantisation should keep most exactly."""

from collections.abc import Collection
from pathlib import Path

from kalam.data.selection import texts_of
from kalam.export.programs import run_tool, threads, written_gguf

CHUNK = 256  # tokens in a window


def importance(
    tools: str | Path,
    model: str | Path,
    train: str | Path,
    parts: Collection[str] | None,
    chunks: int,
    target: str | Path,
) -> None:
    """Write the importance matrix of a GGUF, measured on at most `chunks` windows of the training text in some
    parts."""
    with written_gguf(target) as temporary:
        text = temporary.with_name(f"{temporary.name}.txt")
        with open(text, "w", encoding="utf-8") as handle:
            for number, each in enumerate(texts_of(train, parts)):
                handle.write("\n\n" * bool(number) + each)
        options = ["-f", str(text), "-o", str(temporary), "-c", str(CHUNK), "-b", str(CHUNK), "--chunks", str(chunks)]
        try:
            run_tool(tools, "llama-imatrix", ["-m", str(model), *options, "-t", threads(), "-ngl", "0", "--no-ppl"])
        finally:
            text.unlink()
