"""Merged models and adapters as GGUF, by llama.cpp's own converter."""

import sys
from pathlib import Path

from kalam.export import converter
from kalam.export.architectures import pre_tokeniser
from kalam.export.programs import run, written_gguf
from kalam.files.jsonl import read_json

F32 = "f32"  # the type that all others are made from


def convert(tools: str | Path, model: str | Path, target: str | Path) -> None:
    """A model folder as a GGUF in fp32. Raises InputError for one that llama.cpp has no converter for."""
    name = pre_tokeniser(model) or converter.RECOGNISE
    _run_converter(tools, "convert_hf_to_gguf.py", ["--outtype", F32, str(model)], target, name)


def convert_projector(tools: str | Path, model: str | Path, target: str | Path) -> None:
    """The image encoder and the projector of a vision-language model as a GGUF of their own, in fp16."""
    _run_converter(tools, "convert_hf_to_gguf.py", ["--mmproj", "--outtype", "f16", str(model)], target)


def convert_adapter(
    tools: str | Path, adapter: str | Path, base: str | Path, target: str | Path, base_target: str | Path
) -> None:
    """A LoRA adapter as a GGUF in fp32, and the base that it is loaded with as another.

    `base` is the run's `base.json`, which names the base's folder.
    """
    model = read_json(base)["folder"]
    convert(tools, model, base_target)
    _run_converter(tools, "convert_lora_to_gguf.py", ["--outtype", F32, "--base", model, str(adapter)], target)


def _run_converter(
    tools: str | Path, script: str, options: list[str], target: str | Path, name: str = converter.RECOGNISE
) -> None:
    with written_gguf(target) as temporary:
        command = [sys.executable, converter.__file__, str(Path(tools).resolve()), name, script]
        run([*command, *options, "--outfile", str(temporary)], script)
