"""Architectures that cannot be are refused before any job, without torch; those that can be are trained."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from conftest import HEADS, MASKED_SHAPES, SHAPES

from kalam.configuration.resolve import load_schema, resolve
from kalam.files.errors import InputError
from kalam.models import objections
from kalam.models.architecture import checked_config
from kalam.models.objections import architecture_objections, training_objections
from kalam.models.positions import AFTER_PADDING, first_position, positions_of
from kalam.models.scratch import initialise, save

ROOT = Path(__file__).resolve().parents[2]
LLAMA, XGLM = SHAPES["llama"], SHAPES["xglm"]
XLMR = {"model_type": "xlm-roberta", **HEADS, "max_position_embeddings": 34}
RIGHT = {**SHAPES, "own heads": SHAPES["gemma3"] | {"hidden_size": 36}, "xlm-roberta": XLMR}

WRONG = {
    "unknown architecture": (
        LLAMA | {"model_type": "lama"},
        "architecture.model_type: found lama; allowed are those of transformers, such as llama",
    ),
    "unknown setting": (
        LLAMA | {"hiden_size": 3},
        "architecture.hiden_size: found a setting that llama does not have; allowed are those it has in transformers, "
        "such as hidden_size",
    ),
    "a method": (LLAMA | {"to_dict": 3}, "architecture.to_dict: found a setting that llama does not have"),
    "the tokenizer's": (
        LLAMA | {"vocab_size": 3},
        "architecture.vocab_size: found 3; allowed is none, as it comes from the tokenizer",
    ),
    "another type": (
        LLAMA | {"hidden_size": "x"},
        "architecture: llama in transformers refuses it: TypeError: Field 'hidden_size' expected int, got str",
    ),
    "heads of llama": (LLAMA | {"hidden_size": 33}, "architecture: llama in transformers refuses it: The hidden size"),
    "heads of xglm": (
        XGLM | {"attention_heads": 5},
        "architecture.attention_heads: found 5; allowed are numbers that divide d_model, 32",
    ),
    "heads of xlm-roberta": (
        XLMR | {"num_attention_heads": 3},
        "architecture.num_attention_heads: found 3; allowed are numbers that divide hidden_size, 32",
    ),
    "no heads": (XLMR | {"num_attention_heads": 0}, "architecture.num_attention_heads: found 0; allowed are numbers"),
    "groups of heads": (
        LLAMA | {"num_key_value_heads": 3},
        "architecture.num_key_value_heads: found 3; allowed are numbers that divide num_attention_heads, 4",
    ),
}


@pytest.fixture(scope="module", autouse=True)
def answered():
    """What most tests here ask, asked by one process: each question of its own would start one."""
    asked = [*(architecture for architecture, _ in WRONG.values()), *RIGHT.values()]
    asked += [LLAMA | {"vocab_size": 3}, LLAMA | {"max_position_embeddings": 100}]
    asked += [dict(sorted(architecture.items())) for architecture in asked]  # as a resolved project has them
    objections.ask([(architecture, pad) for architecture in asked for pad in (1, 2)])


@pytest.mark.parametrize(("architecture", "message"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_is_said_and_cannot_be_made(architecture, message, tokenizer):
    found = list(architecture_objections(architecture))
    assert len(found) == 1 and found[0].startswith(message)
    with pytest.raises(InputError) as error:
        initialise(architecture, tokenizer, 0)
    assert str(error.value) == found[0]


@pytest.mark.parametrize("architecture", RIGHT.values(), ids=RIGHT)
def test_what_can_be_is_trained(architecture, tokenizer):
    context = 256 if architecture["model_type"] != "xlm-roberta" else 31  # its tokenizer's padding is 2 here
    assert list(architecture_objections(architecture, context, tokenizer.pad_token_id)) == []
    masked = architecture["model_type"] == "xlm-roberta"
    model = initialise(architecture, tokenizer, 0, "AutoModelForMaskedLM" if masked else "AutoModelForCausalLM")
    ids = torch.arange(context)[None] % 200 + 5
    loss = model(input_ids=ids, labels=ids).loss
    loss.backward()
    assert loss.isfinite() and positions_of(model.config) == context


@pytest.mark.parametrize(
    ("architecture", "pad", "positions"), [(LLAMA, 2, 256), (XGLM, 2, 256), (XLMR, 1, 32), (XLMR, 2, 31)]
)
def test_a_window_beyond_the_positions_is_said(architecture, pad, positions):
    kind = architecture["model_type"]
    assert list(architecture_objections(architecture, positions, pad)) == []
    assert list(architecture_objections(architecture, positions + 1, pad)) == [
        f"training.context: found {positions + 1}; allowed are up to {positions} tokens, the positions of {kind}"
    ]


@pytest.mark.parametrize("kind", sorted(AFTER_PADDING | MASKED_SHAPES.keys()))
def test_the_positions_lost_to_padding_are_the_model_s_own(kind):
    from transformers import AutoModelForMaskedLM

    config = checked_config({"model_type": kind, **HEADS, "max_position_embeddings": 64}, pad_token_id=1, vocab_size=90)
    model = AutoModelForMaskedLM.from_config(config)
    assert positions_of(config) == 64 - first_position(model)


def test_neither_torch_nor_transformers_is_loaded_for_it():
    code = (
        "import sys; from kalam.models.objections import architecture_objections as found;"
        f"print(*found({LLAMA | {'hiden_size': 3}!r}, 300)); print(*sys.modules.keys() & {{'torch', 'transformers'}})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert first.startswith("architecture.hiden_size") and second == ""
    assert done.stderr == ""


def test_all_projects_are_asked_about_at_once(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(objections, "ANSWERS", {})
    run_it = subprocess.run
    monkeypatch.setattr(objections.subprocess, "run", lambda *a, **more: asked.append(a) or run_it(*a, **more))
    config = resolve(
        yaml.safe_load((ROOT / "config/config.yaml").read_text()), load_schema(ROOT / "config/schema.yaml")
    )
    objections.require_trainable(config["projects"])
    assert len(asked) == 1
    answers = dict(objections.ANSWERS)
    objections.ANSWERS.clear()  # as in another process
    objections.require_trainable(config["projects"])
    assert len(asked) == 1
    assert answers == objections.ANSWERS


def test_another_transformers_is_asked_again(monkeypatch):
    before = objections._answerer()
    monkeypatch.setattr(objections, "version", lambda name: "0")
    assert objections._answerer.__wrapped__() != before


def test_where_transformers_is_not_installed_nothing_is_said(monkeypatch):
    monkeypatch.setattr(objections, "ANSWERS", {})
    monkeypatch.setattr(objections, "find_spec", lambda name: None)
    assert list(architecture_objections(LLAMA | {"model_type": "nobody knows"}, 999)) == []


TRAINING = {"steps": 1, "learning_rate": 1.0, "context": 64}
XLMR_MODEL = {
    "kind": "scratch",
    "task": "masked",
    "tokenizer": {"kind": "unigram"},
    "parts": ["r"],
    "architecture": XLMR,
}


def project(models: dict, runs: dict | None = None, **more) -> dict:
    """A resolved project whose only source has the register `r`."""
    sources = {"s": {"kind": "files", "register": "r", "paths": ["x.txt"]}}
    some = {"language": "ta", "datasets": {"text": {"sources": sources}}, "models": models, "runs": runs or {}, **more}
    return resolve({"projects": {"p": some}}, load_schema(ROOT / "config/schema.yaml"))["projects"]["p"]


def llama(**training) -> dict:
    return {"kind": "scratch", "parts": ["r"], "architecture": LLAMA, "training": TRAINING | training}


def run(base: str, context: int = 64, **more) -> dict:
    return {"task": "causal", "base": base, "parts": ["r"], "training": TRAINING | {"context": context}, **more}


def test_what_is_shipped_can_be_trained():
    """Refused would be an InputError that names file, project and key."""
    files = ["config/config.yaml", "config/full/bangla.yaml", "config/full/tamil.yaml"]
    schema = load_schema(ROOT / "config/schema.yaml")
    configs = {file: resolve(yaml.safe_load((ROOT / file).read_text()), schema) for file in files}
    projects = {f"{file}.{name}": p for file, config in configs.items() for name, p in config["projects"].items()}
    assert len(projects) >= len(files)
    objections.require_trainable(projects)


def test_models_of_a_project():
    wrong = llama(context=300, parallel="fsdp", precision="fp16") | {"architecture": LLAMA | {"vocab_size": 3}}
    found = list(training_objections(project({"a": llama(), "b": wrong, "c": llama(context=300)})))
    assert found == [
        "models.b.architecture.vocab_size: found 3; allowed is none, as it comes from the tokenizer",
        "models.c.training.context: found 300; allowed are up to 256 tokens, the positions of llama",
        "models.b.training.precision: found fp16; allowed with fsdp are auto, bf16 and fp32",
    ]


def test_runs_are_held_against_what_they_may_begin_with():
    small = llama() | {"architecture": LLAMA | {"max_position_embeddings": 100}}
    extended = {"kind": "extended", "base": "small", "parts": ["r"]}
    hub = {"kind": "hub", "repository": "a/b", "revision": "0" * 40}
    models = {"small": small, "large": llama(), "extended": extended, "hub": hub, "masked": XLMR_MODEL}
    masked = {"task": "masked", "tuning": "full", "quantisation": "none"}
    runs = {
        "first": run("small", 101),
        "second": run("first", 102),
        "third": run("extended", 103),
        "winner": run("best", 104),
        "unknown": run("hub", 5000),
        "fits": run("large", 256),
        "reads": run("masked", 33, **masked),
        "parts": run("large") | {"training": TRAINING | {"parallel": "fsdp", "precision": "fp16"}},
    }

    def expected(name: str, context: int, positions: int, base: str) -> str:
        found = f"runs.{name}.training.context: found {context}"
        return f"{found}; allowed are up to {positions} tokens, the positions of {base}"

    assert list(training_objections(project(models, runs))) == [
        "runs.parts.training.precision: found fp16; allowed with fsdp are auto, bf16 and fp32",
        expected("first", 101, 100, "small"),
        expected("second", 102, 100, "small"),
        expected("third", 103, 100, "extended"),
        expected("winner", 104, 100, "small"),
        expected("winner", 104, 100, "extended"),
        expected("reads", 33, 32, "masked"),
    ]
    chosen = project(models, {"winner": run("best", 104)}, candidates={"choice": "large"})
    assert list(training_objections(chosen)) == []


def test_local_models_say_it_themselves_where_they_are_here(unigram, tmp_path):
    save(initialise(XLMR, unigram, 0, "AutoModelForMaskedLM"), unigram, tmp_path / "here")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/config.json").write_text('{"model_type": "lama", "auto_map": {}}')
    paths = {"here": tmp_path / "here", "other": tmp_path / "other", "gone": tmp_path / "gone"}
    models = {name: {"kind": "local", "task": "masked", "path": str(path)} for name, path in paths.items()}
    masked = {"task": "masked", "tuning": "full", "quantisation": "none"}
    found = list(training_objections(project(models, {f"of_{name}": run(name, 33, **masked) for name in models})))
    assert found == [
        f"models.other.path: {tmp_path}/other/config.json: model_type: found lama; "
        "allowed are those of transformers, such as llama, mllama, llama4",
        "runs.of_here.training.context: found 33; allowed are up to 32 tokens, the positions of here",
    ]
