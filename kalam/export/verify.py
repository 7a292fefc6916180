"""The gate on every GGUF: what llama.cpp makes of it beside the model it was made from."""

import logging
import os
from pathlib import Path
from typing import Any

from kalam.export.gate import judge
from kalam.export.heldout import HeldOut
from kalam.export.merging import in_fp32
from kalam.export.reading import Reading
from kalam.files.jsonl import read_json, write_json
from kalam.models.adapters import load_adapted, load_base
from kalam.text.tokens import load_tokenizer

logger = logging.getLogger(__name__)


def verify(
    tools: str | Path,
    gguf: str | Path,
    model: str | Path,
    kind: str,
    documents: list[dict[str, Any]],
    evaluation: dict[str, int],
    exports: dict[str, Any],
    target: str | Path,
) -> None:
    """Write to `target` how a GGUF of a `kind` compares with the model folder it was made from.

    Raises InputError, with the figure, where token ids differ, a bound is not kept, an exact format
    continues an opening otherwise, or llama.cpp crashes or says nothing; then nothing is written.
    """
    heldout = HeldOut.of(
        documents, load_tokenizer(model), evaluation["context"], evaluation["stride"], exports["tokens"]
    )
    original = load_base({"folder": model}, "none", "fp32")
    with read_gguf(tools, gguf, heldout) as reading:
        figures = judge(str(gguf), original, heldout, reading, exports["bounds"][kind], kind)
    _write(target, tools, gguf, kind, figures)


def verify_adapter(
    tools: str | Path,
    gguf: str | Path,
    whole: str | Path,
    base: dict[str, Any],
    run: str | Path,
    documents: list[dict[str, Any]],
    evaluation: dict[str, int],
    exports: dict[str, Any],
    target: str | Path,
) -> None:
    """As `verify`, for an adapter beside its base, which is `whole`, a GGUF in fp32; the original is the two in
    transformers, the base not quantised."""
    heldout = HeldOut.of(
        documents, load_tokenizer(base["folder"]), evaluation["context"], evaluation["stride"], exports["tokens"]
    )
    original = in_fp32(load_adapted(base, run, "none", "fp32"))
    with read_gguf(tools, whole, heldout, gguf) as reading:
        figures = judge(str(gguf), original, heldout, reading, exports["bounds"]["f32"], "f32")
    _write(target, tools, gguf, "adapter", figures)


def read_gguf(tools: str | Path, gguf: str | Path, heldout: HeldOut, adapter: str | Path | None = None) -> Reading:
    """A GGUF, with an adapter where one is given, as llama.cpp reads it."""
    files = [str(Path(file).resolve()) for file in (gguf, adapter) if file]
    command = ["kalam.export.llamacpp", files[0], str(heldout.context), *files[1:]]
    path = [str(Path(tools).resolve() / "python"), os.environ.get("PYTHONPATH", "")]
    environment = {"PYTHONPATH": os.pathsep.join(part for part in path if part)}
    return Reading(str(adapter or gguf), command, heldout.request(), environment)


def _write(target: str | Path, tools: str | Path, gguf: str | Path, kind: str, figures: dict[str, Any]) -> None:
    release = read_json(Path(tools) / "manifest.json")
    made_by = {key: release[key] for key in ("package", "version", "sha256")}
    size = Path(gguf).stat().st_size
    write_json(target, {"file": Path(gguf).name, "kind": kind, "size": size, "tool": made_by, **figures})
    logger.info("%s: %s", gguf, figures)
