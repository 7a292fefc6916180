"""Base models: made from a configuration, linked from a folder, fetched from a hub that may not be there."""

import json
import shutil

import pytest
import torch

from kalam.files.errors import InputError
from kalam.files.jsonl import read_json
from kalam.models.adapters import load_base
from kalam.models.download import fetch, local_files
from kalam.models.scratch import initialise
from kalam.text.tokens import load_tokenizer

OLD, NEW = "0" * 40, "1" * 40


def hub(revision: str = OLD, repository: str = "someone/tiny") -> dict:
    return {"kind": "hub", "task": "causal", "repository": repository, "revision": revision, "remote_code": False}


@pytest.fixture(scope="module")
def qwen(model_folder):
    return model_folder("qwen2")


@pytest.fixture
def source(qwen, tmp_path):
    """A model's folder of one's own."""
    return shutil.copytree(qwen, tmp_path / "source")


@pytest.fixture(autouse=True)
def no_hub(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def cached(source, folder, revision: str = OLD) -> None:
    """Lay a folder where a fetch of the revision would have put it."""
    shutil.copytree(source, folder / ".hub" / "models--someone--tiny" / "snapshots" / revision)


def test_a_local_folder_is_linked_and_loads(source, tokenizer, tmp_path):
    fetch({"kind": "local", "task": "causal", "path": str(source)}, tmp_path / "model")
    meta = read_json(tmp_path / "model" / "meta.json")
    assert (meta["kind"], meta["path"], meta["model_type"]) == ("local", str(source), "qwen2")
    assert (tmp_path / "model" / "model.safetensors").resolve() == (source / "model.safetensors").resolve()
    ids = load_tokenizer(tmp_path / "model")("বৃষ্টি পড়ে")["input_ids"]
    assert ids == tokenizer("বৃষ্টি পড়ে")["input_ids"]
    with torch.no_grad():
        logits = load_base({"folder": tmp_path / "model"})(input_ids=torch.tensor([ids])).logits
    assert logits.shape == (1, len(ids), len(tokenizer))


def test_the_digest_follows_the_files(source, tmp_path):
    def digest() -> str:
        fetch({"kind": "local", "task": "causal", "path": str(source)}, tmp_path / "model")
        return read_json(tmp_path / "model" / "meta.json")["digest"]

    first = digest()
    assert digest() == first
    (source / "notes.md").write_text("no part of the model")
    assert digest() == first
    (source / "generation_config.json").unlink()
    second = digest()
    assert second != first
    assert not (tmp_path / "model" / "generation_config.json").is_symlink()
    weights = bytearray((source / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (source / "model.safetensors").write_bytes(weights)
    assert digest() not in (first, second)


def test_the_files_of_a_local_model_are_its_inputs(source):
    names = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert set(local_files({"kind": "local", "task": "causal", "path": str(source)})) == {
        str(source / name) for name in names
    }
    assert local_files(hub()) == []


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("model.safetensors", "source: no .safetensors weights; no other format is read"),
        ("config.json", "source: no model in the hub's layout; config.json is missing"),
    ],
)
def test_a_folder_without_its_parts_is_refused_and_nothing_is_written(source, tmp_path, missing, message):
    (source / missing).unlink()
    (source / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(InputError, match=message):
        fetch({"kind": "local", "task": "causal", "path": str(source)}, tmp_path / "model")
    assert not list((tmp_path / "model").iterdir())


def test_a_model_is_not_linked_onto_itself(source):
    before = sorted(path.name for path in source.iterdir())
    with pytest.raises(InputError, match="allowed is any other folder"):
        fetch({"kind": "local", "task": "causal", "path": str(source)}, source)
    assert sorted(path.name for path in source.iterdir()) == before


@pytest.mark.parametrize("repository", ["someone/tiny", "not a name!", "a/b/c"])
def test_a_hub_that_does_not_answer_is_one_line(tmp_path, repository):
    with pytest.raises(InputError, match=f"^{repository} at {OLD}: cannot be fetched: ") as error:
        fetch(hub(repository=repository), tmp_path / "model")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "model" / "meta.json").exists()


def test_what_was_fetched_before_is_there_without_the_hub(source, tmp_path):
    folder = tmp_path / "model"
    cached(source, folder)
    fetch(hub(), folder)
    meta = read_json(folder / "meta.json")
    assert (meta["repository"], meta["revision"], meta["remote_code"]) == ("someone/tiny", OLD, False)
    load_base({"folder": folder})


def test_another_revision_is_never_taken_for_the_one_asked_for(source, tmp_path):
    folder = tmp_path / "model"
    cached(source, folder)
    fetch(hub(), folder)
    (folder / "meta.json").unlink()
    with pytest.raises(InputError, match=f"{NEW}: cannot be fetched"):
        fetch(hub(NEW), folder)
    (source / "generation_config.json").unlink()
    cached(source, folder, NEW)
    fetch(hub(NEW), folder)
    assert NEW in str((folder / "config.json").resolve())
    assert not (folder / "generation_config.json").is_symlink()


def test_a_scratch_model_fits_its_tokenizer_and_its_seed(tokenizer, tiny, shapes):
    for shape in shapes:
        config = tiny(shape).config
        assert (config.vocab_size, config.bos_token_id, config.eos_token_id, config.pad_token_id) == (360, 0, 1, 2)
    first, same, other = (next(initialise(shapes["llama"], tokenizer, seed).parameters()) for seed in (1, 1, 2))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    assert first.dtype == torch.float32


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "lama"}, "architecture.model_type: transformers knows no `lama`"),
        ({"hiden_size": 3}, "architecture: `llama` has no setting named hiden_size"),
        ({"hidden_size": "x"}, "architecture: TypeError: Field 'hidden_size' expected int, got str"),
        ({"hidden_size": 33}, r"architecture: ValueError: The hidden size \(33\) is not a multiple of"),
        ({"vocab_size": 3}, "architecture: vocab_size comes from the tokenizer and cannot be set"),
    ],
)
def test_an_architecture_that_cannot_be_is_refused(tokenizer, shapes, changes, message):
    with pytest.raises(InputError, match=message):
        initialise(shapes["llama"] | changes, tokenizer, 0)


def test_a_model_of_another_task_is_refused(source, tmp_path):
    with pytest.raises(InputError, match="found qwen2 without a masked head, while the model's task is masked"):
        fetch({"kind": "local", "task": "masked", "path": str(source)}, tmp_path / "model")
    config = read_json(source / "config.json") | {"architectures": ["XLMRobertaForMaskedLM"]}
    (source / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="found XLMRobertaForMaskedLM, while the model's task is causal"):
        fetch({"kind": "local", "task": "causal", "path": str(source)}, tmp_path / "model")
