"""The tools: fetched by their checksum; one that fails, crashes or leaves nothing fails the export."""

import json
import subprocess
from pathlib import Path

import pytest

from kalam.export import tools
from kalam.export.architectures import pre_tokeniser
from kalam.export.convert import convert
from kalam.export.programs import run
from kalam.export.quantise import quantise
from kalam.files.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = {
    "empty": ("exit 0", "target.gguf: the tool ended well and left no GGUF"),
    "failing": ("echo no such type; exit 3", "llama-quantize: ended with status 3: no such type"),
    "crashing": ("kill -ILL $$", "llama-quantize: ended with status -4: it said nothing"),
    "half": ('printf GG > "$2"', "target.gguf: the tool ended well and left no GGUF"),
}


@pytest.mark.parametrize("kind", PROGRAMS)
def test_a_tool_that_is_silent_or_dies_fails_and_leaves_nothing(tmp_path, kind):
    body, message = PROGRAMS[kind]
    program = tmp_path / "tools/bin/llama-quantize"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/bash\n{body}\n")
    program.chmod(0o755)
    with pytest.raises(InputError, match=message):
        quantise(tmp_path / "tools", tmp_path / "model.gguf", "q8_0", None, tmp_path / "out" / "target.gguf")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_long_build_says_how_far_it_is(tmp_path, caplog):
    caplog.set_level("INFO")
    steps = "; ".join(f"echo '[{step}/300] Building CXX object {step}.o'" for step in (1, 2, 3, 150, 151, 299, 300))
    run(["bash", "-c", f"echo hello; {steps}"], "cmake")
    assert caplog.messages == [f"cmake: step {step} of 300" for step in (1, 150, 299, 300)]


def test_make_clean_keeps_the_tools_and_the_trainings(tmp_path):
    for file in ("results/.tools/llama.cpp/manifest.json", "results/bangla/ppl.txt", "logs/a", "checkpoints/b"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    for _ in range(2):
        subprocess.run(["make", "-f", ROOT / "Makefile", "clean"], cwd=tmp_path, check=True, capture_output=True)
        left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
        assert left == ["checkpoints/b", "results/.tools/llama.cpp/manifest.json"]
        assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoints", "results"]


def test_a_converter_that_is_not_there_fails(tmp_path):
    with pytest.raises(InputError, match=r"convert_hf_to_gguf.py: ended with status 1"):
        convert(tmp_path, tmp_path, tmp_path / "model.gguf")


def test_another_archive_than_the_pinned_one_is_refused(tmp_path, monkeypatch):
    release = {"package": "x", "version": "1", "sha256": "0" * 64}
    monkeypatch.setattr(tools, "run", lambda *_: (tmp_path / "x-1.tar.gz").write_bytes(b"something else"))
    with pytest.raises(InputError, match=r"x-1.tar.gz: found SHA-256 [0-9a-f]{64}; allowed is 0{64}"):
        tools.fetch(release, tmp_path)
    assert (tmp_path / "requirements.txt").read_text() == f"x==1 --hash=sha256:{'0' * 64}\n"


def test_a_tokenizer_trained_here_has_its_pre_tokeniser_declared(model_folder, tmp_path):
    folder = model_folder()
    assert pre_tokeniser(folder) == "qwen35"
    assert pre_tokeniser(tmp_path) is None
    foreign = json.loads((folder / "tokenizer.json").read_text())
    foreign["pre_tokenizer"] = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    (tmp_path / "tokenizer.json").write_text(json.dumps(foreign))
    assert pre_tokeniser(tmp_path) is None
