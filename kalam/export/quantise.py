"""GGUF files in smaller types, by llama.cpp's own quantiser."""

from pathlib import Path

from kalam.export.programs import run_tool, threads, written_gguf


def quantise(tools: str | Path, model: str | Path, kind: str, matrix: str | Path | None, target: str | Path) -> None:
    """A GGUF in fp32 in another type (`f16`, `q8_0`, `q4_k_m`), with an importance matrix for k-quants."""
    with written_gguf(target) as temporary:
        options = ["--imatrix", str(matrix)] if matrix else []
        run_tool(tools, "llama-quantize", [*options, str(model), str(temporary), kind.upper(), threads()])
