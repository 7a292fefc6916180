"""Trainings from inputs to results: found finished, made, killed, handed out; scratch models and adapters whole."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from lora import LORA

from kalam.files.digests import digest_file
from kalam.files.errors import InputError
from kalam.files.jsonl import read_json, read_jsonl
from kalam.machine.devices import device_name
from kalam.training.handout import hand_out
from kalam.training.runs import train_once

ROOT = Path(__file__).resolve().parents[2]
RECIPE = {
    "seed": 1,
    "steps": 4,
    "learning_rate": 1e-2,
    "context": 16,
    "evaluate_every": 2,
    "save_every": 2,
    "precision": "fp32",
}
LORA = LORA | {"dropout": 0.1}


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def training(calls: list, content: str = "weights"):
    """A training that writes one file and leaves a checkpoint."""

    def make(store):
        calls.append(content)
        (store.folder / "step-00000002.safetensors").write_text("half way")

        def write(target):
            (target / "adapter").mkdir()
            (target / "adapter" / "weights").write_text(content)

        return write, {"steps": 4}

    return make


def test_it_is_made_once_and_handed_out_again(tmp_path):
    calls = []
    for results in ("a", "b"):
        train_once(tmp_path / "checkpoints", tmp_path / results, {"code": "1"}, training(calls), "fp32")
    assert calls == ["weights"]
    assert files(tmp_path / "a") == files(tmp_path / "b")
    meta = read_json(tmp_path / "a" / "meta.json")
    assert meta["files"] == {"adapter/weights": digest_file(tmp_path / "a" / "adapter" / "weights")}
    assert (meta["identity"], meta["outcome"]) == ({"code": "1"}, {"steps": 4})
    assert meta["made_with"].keys() == {"versions", "precision", "device"}
    assert {"python", "torch", "transformers", "tokenizers", "peft", "accelerate"} <= meta["made_with"][
        "versions"
    ].keys()
    assert (meta["made_with"]["precision"], meta["made_with"]["device"]) == ("fp32", device_name())
    (folder,) = (tmp_path / "checkpoints").iterdir()
    assert folder.name == meta["fingerprint"]
    assert not list(folder.glob("step-*"))


def test_another_identity_is_another_folder_and_the_old_one_stays(tmp_path):
    calls = []
    for code, content in (("1", "old"), ("2", "new"), ("1", "never made")):
        train_once(tmp_path / "checkpoints", tmp_path / "results", {"code": code}, training(calls, content), "fp32")
    assert calls == ["old", "new"]
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2
    assert (tmp_path / "results" / "adapter" / "weights").read_text() == "old"


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES = {
    "a flipped bit": (lambda final: flip(final / "adapter/weights"), "weights: its digest is not the one in meta.json"),
    "a file missing": (lambda final: (final / "adapter/weights").unlink(), "weights: its digest is not"),
    "a file too many": (lambda final: (final / "more").touch(), "more: its digest is not the one in meta.json"),
    "half a meta": (lambda final: (final / "meta.json").write_text('{"files": {'), "meta.json: not JSON in UTF-8"),
    "another meta": (
        lambda final: (final / "meta.json").write_text((final / "meta.json").read_text().replace("fp32", "fp16")),
        "meta.json: its digest is not the one written in final.json",
    ),
    "a damaged seal": (lambda final: flip(final.with_suffix(".json")), "final.json: "),
}


@pytest.mark.parametrize(("damage", "line"), DAMAGES.values(), ids=DAMAGES)
def test_what_was_finished_and_damaged_since_is_made_again(tmp_path, damage, line, caplog):
    calls = []
    train_once(tmp_path / "checkpoints", tmp_path / "a", {"code": "1"}, training(calls), "fp32")
    (folder,) = (tmp_path / "checkpoints").iterdir()
    damage(folder / "final")
    train_once(tmp_path / "checkpoints", tmp_path / "b", {"code": "1"}, training(calls), "fp32")
    assert calls == ["weights", "weights"]
    assert files(tmp_path / "a") == files(tmp_path / "b")
    (told,) = [r.getMessage() for r in caplog.records if "finished before, but damaged since" in r.getMessage()]
    assert line in told
    train_once(tmp_path / "checkpoints", tmp_path / "c", {"code": "1"}, training(calls), "fp32")
    assert len(calls) == 2


def test_checkpoints_go_when_what_was_finished_is_on_the_disk(tmp_path, monkeypatch):
    order, fsync, unlink = [], os.fsync, Path.unlink

    def synced(descriptor):
        order.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        fsync(descriptor)

    def unlinked(path, **options):
        order.append(path.name)
        unlink(path, **options)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "unlink", unlinked)
    train_once(tmp_path / "checkpoints", tmp_path / "a", {"code": "1"}, training([]), "fp32")
    gone = order.index("step-00000002.safetensors")
    (folder,) = (tmp_path / "checkpoints").iterdir()
    assert max(order.index(name) for name in ("weights", "adapter", folder.name)) < gone


def test_killed_while_the_result_is_written_it_keeps_its_checkpoints(tmp_path):
    class Killed(BaseException):
        pass

    def make(_store):
        training([])(_store)

        def write(_target):
            raise Killed

        return write, {}

    with pytest.raises(Killed):
        train_once(tmp_path / "checkpoints", tmp_path / "results", {}, make, "fp32")
    (folder,) = (tmp_path / "checkpoints").iterdir()
    assert [path.name for path in folder.glob("step-*")] == ["step-00000002.safetensors"]
    assert not (folder / "final").exists()
    assert not (tmp_path / "results").exists()
    train_once(tmp_path / "checkpoints", tmp_path / "results", {}, training([]), "fp32")
    assert (tmp_path / "results" / "meta.json").exists()


def test_two_cannot_make_the_same_training(tmp_path):
    def make(_store):
        train_once(tmp_path / "checkpoints", tmp_path / "results", {}, training([]), "fp32")

    with pytest.raises(InputError, match="held by another training"):
        train_once(tmp_path / "checkpoints", tmp_path / "results", {}, make, "fp32")


def test_meta_is_handed_out_last(tmp_path, monkeypatch):
    order = []
    monkeypatch.setattr("kalam.files.atomic.os.replace", lambda _, target: order.append(target.name))
    for name in ("meta.json", "z", "a"):
        (tmp_path / name).write_text("")
    hand_out(tmp_path, tmp_path / "results")
    assert order == ["a", "z", "meta.json"]


CALL = """
import json, sys
from pathlib import Path
from kalam.training.adapt import adapt
from kalam.training.pretrain import pretrain
kind, arguments, recipe = json.loads(sys.argv[1])
{"pretrain": pretrain, "adapt": adapt}[kind](**arguments, recipe=recipe)
print([name for name in ("torch", "transformers", "peft", "accelerate") if name in sys.modules])
"""


def elsewhere(kind: str, arguments: dict, **changes) -> str:
    """Run a training in a new process, with another order of hashes than this one's."""
    command = [sys.executable, "-c", CALL, json.dumps([kind, arguments, RECIPE | changes])]
    environment = {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def tokens(stream, tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("tokens")
    for split in ("train", "validation"):
        stream.save(folder / f"{split}.safetensors")
    return {split: str(folder / f"{split}.safetensors") for split in ("train", "validation")}


def test_a_scratch_model_from_its_tokens_to_its_folder(tokenizer, tiny, shapes, tokens, tmp_path):
    import torch
    from transformers import AutoModelForCausalLM

    from kalam.training.pretrain import pretrain

    tokenizer.save_pretrained(tmp_path / "tokenizer")
    arguments = {
        "tokens": tokens,
        "tokenizer": str(tmp_path / "tokenizer"),
        "architecture": shapes["llama"],
        "seed": RECIPE["seed"],
        "task": {"name": "causal", "head": "AutoModelForCausalLM"},
        "code": "1",
        "checkpoints": str(tmp_path / "checkpoints"),
        "results": str(tmp_path / "here"),
    }
    pretrain(**arguments, recipe=RECIPE)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "here")
    assert model.config.model_type == "llama"
    assert not torch.equal(model.lm_head.weight, tiny(seed=RECIPE["seed"]).lm_head.weight)  # it has learnt
    assert {"config.json", "model.safetensors", "tokenizer.json", "history.jsonl", "meta.json"} <= files(
        tmp_path / "here"
    ).keys()
    # A finished training is handed out without torch, whatever changes nothing in it.
    there = arguments | {"results": str(tmp_path / "there")}
    assert elsewhere("pretrain", there, micro_batch=4, save_every=1, gradient_checkpointing=False) == "[]"
    assert files(tmp_path / "there") == files(tmp_path / "here")
    assert len(list((tmp_path / "checkpoints").iterdir())) == 1


def test_equal_trainings_in_two_processes_write_equal_adapters(model_folder, tokens, tmp_path):
    from kalam.training.adapt import adapt

    arguments = {
        "base": {"model": "tiny", "folder": str(model_folder()), "digest": "d", "remote_code": False, "adapter": None},
        "tokens": tokens,
        "task": {"name": "causal", "head": "AutoModelForCausalLM"},
        "lora": LORA,
        "quantisation": "nf4",
        "code": "1",
        "checkpoints": str(tmp_path / "checkpoints"),
        "results": str(tmp_path / "here"),
    }
    adapt(**arguments, recipe=RECIPE)
    other = {"checkpoints": str(tmp_path / "others"), "results": str(tmp_path / "there")}
    assert "torch" in elsewhere("adapt", arguments | other)
    assert files(tmp_path / "there") == files(tmp_path / "here")
    assert {"adapter/adapter_model.safetensors", "meta.json"} <= files(tmp_path / "here").keys()
    changed = arguments | {"results": str(tmp_path / "changed"), "lora": LORA | {"alpha": 16}}
    adapt(**changed, recipe=RECIPE)
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2
    assert files(tmp_path / "changed") != files(tmp_path / "here")


def test_what_auto_means_here_is_part_of_the_fingerprint(model_folder, tokens, tmp_path, monkeypatch):
    """On a GPU that another training had, or on none: neither is handed out for the other."""
    from kalam.training.adapt import adapt

    base = {"model": "tiny", "folder": str(model_folder()), "digest": "d", "remote_code": False, "adapter": None}
    metas = {}
    for asked, meant in (("auto", "fp32"), ("fp32", "fp32"), ("auto", "bf16"), ("bf16", "bf16")):
        with monkeypatch.context() as patched:
            if asked == "auto":
                patched.setattr("kalam.training.recipe.settled", lambda _, meant=meant: meant)
            recipe, results = RECIPE | {"steps": 1, "precision": asked}, tmp_path / f"{asked} as {meant}"
            adapt(
                base,
                tokens,
                {"name": "causal", "head": "AutoModelForCausalLM"},
                LORA,
                "nf4",
                recipe,
                "1",
                tmp_path / "checkpoints",
                results,
            )
        metas[asked, meant] = read_json(results / "meta.json")
    for meant in ("fp32", "bf16"):
        assert metas["auto", meant] == metas[meant, meant]
        assert metas["auto", meant]["identity"]["recipe"]["precision"] == meant
        assert metas["auto", meant]["made_with"]["precision"] == meant
    assert metas["auto", "fp32"]["fingerprint"] != metas["auto", "bf16"]["fingerprint"]


@pytest.mark.parametrize("shape", ["llama", "gemma3", "xglm"])
def test_in_half_precision_a_run_learns_and_scores_as_in_full(model_folder, tokenizer, texts, tokens, tmp_path, shape):
    """As on a GPU, by autocast; XGLM has an attention of its own."""
    from kalam.evaluation.perplexity import score
    from kalam.models.loading import load_adapted
    from kalam.training.adapt import adapt

    base = {"model": "tiny", "folder": str(model_folder(shape)), "digest": "d", "remote_code": False, "adapter": None}
    documents = [
        {"id": str(number), "group": str(number), "register": "r", "text": text} for number, text in enumerate(texts)
    ]
    results = {}
    for precision in ("fp32", "bf16", "fp16"):
        folder = tmp_path / precision
        recipe = RECIPE | {"steps": 8, "batch": 4, "micro_batch": 2, "precision": precision}
        adapt(
            base,
            tokens,
            {"name": "causal", "head": "AutoModelForCausalLM"},
            LORA | {"dropout": 0.0},
            "nf4",
            recipe,
            "1",
            folder / "checkpoints",
            folder,
        )
        losses = [row["validation_loss"] for row in read_jsonl(folder / "history.jsonl") if "validation_loss" in row]
        model = load_adapted(base, folder, "nf4", precision)
        results[precision] = [*losses, sum(row["nll"] for row in score(model, tokenizer, documents, 128, 64, 2))]
    assert results["fp32"][-2] < results["fp32"][0] - 0.01
    for precision in ("bf16", "fp16"):
        assert results[precision] == pytest.approx(results["fp32"], rel=5e-3)
        assert results[precision] != results["fp32"]
