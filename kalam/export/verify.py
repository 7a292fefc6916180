"""The check of every GGUF: llama.cpp loads it, and it is compared with the model it was made from."""

import logging
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from kalam.export.gate import check_export
from kalam.export.heldout import HeldOut
from kalam.export.merging import in_fp32
from kalam.export.reader_process import ReaderProcess
from kalam.files.jsonl import read_json, write_json
from kalam.models.loading import load_adapted, load_base
from kalam.text.tokens import load_tokenizer

logger = logging.getLogger(__name__)


def verify(
    run: str,
    kind: str,
    tools: str | Path,
    gguf: str | Path,
    model: str | Path,
    test: str | Path,
    parts: Collection[str] | None,
    evaluation: dict[str, int],
    exports: dict[str, Any],
    target: str | Path,
) -> None:
    """Write to `target` how a run's GGUF of a `kind` compares with the model folder it was made from, on the test
    documents of some parts.

    `evaluation` has the context and the stride in bytes, `exports` is that section of the project. Raises
    InputError, with the figure, where token ids differ, a bound is not kept, an exact precision continues a
    prompt otherwise, or llama.cpp crashes or says nothing; then nothing is written.
    """
    heldout = HeldOut.read(test, parts, load_tokenizer(model), evaluation, exports["tokens"])
    original = load_base({"folder": model}, "none", "fp32")
    with _read_gguf(tools, gguf, heldout) as reader:
        figures = check_export(str(gguf), original, heldout, reader, exports["bounds"][kind], kind)
    _write(target, run, kind, tools, gguf, figures)


def verify_adapter(
    run: str,
    trained: str | Path,
    base: str | Path,
    tools: str | Path,
    gguf: str | Path,
    base_gguf: str | Path,
    test: str | Path,
    parts: Collection[str] | None,
    evaluation: dict[str, int],
    exports: dict[str, Any],
    target: str | Path,
) -> None:
    """As `verify`, for a run's adapter loaded with its base, a GGUF in fp32.

    The original is the two in transformers: the adapter in the run's folder, `trained`, on the base that `base`,
    the run's `base.json`, names, not quantised.
    """
    base = read_json(base)
    heldout = HeldOut.read(test, parts, load_tokenizer(base["folder"]), evaluation, exports["tokens"])
    original = in_fp32(load_adapted(base, trained, "none", "fp32"))
    with _read_gguf(tools, base_gguf, heldout, gguf) as reader:
        figures = check_export(str(gguf), original, heldout, reader, exports["bounds"]["f32"], "f32")
    _write(target, run, "adapter", tools, gguf, figures)


def _read_gguf(
    tools: str | Path, gguf: str | Path, heldout: HeldOut, adapter: str | Path | None = None
) -> ReaderProcess:
    """A reader of a GGUF, and of an adapter where one is given, by llama.cpp."""
    files = [str(Path(file).resolve()) for file in (gguf, adapter) if file]
    command = ["kalam.export.llamacpp", files[0], str(heldout.context), *files[1:]]
    path = [str(Path(tools).resolve() / "python"), os.environ.get("PYTHONPATH", "")]
    environment = {"PYTHONPATH": os.pathsep.join(part for part in path if part)}
    return ReaderProcess(str(adapter or gguf), command, heldout.request(), environment)


def _write(
    target: str | Path, run: str, kind: str, tools: str | Path, gguf: str | Path, figures: dict[str, Any]
) -> None:
    release = read_json(Path(tools) / "manifest.json")
    tool = {key: release[key] for key in ("package", "version", "sha256")}
    file = Path(gguf)
    made = {"run": run, "kind": kind, "file": file.name, "size": file.stat().st_size, "tool": tool}
    write_json(target, {**made, **figures})
    logger.info("%s: %s", gguf, figures)
