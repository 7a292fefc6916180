"""Base models: made from a configuration, linked from a folder, fetched from a hub that may not be there."""

import shutil

import pytest
import torch

from kalam.files.errors import InputError
from kalam.files.jsonl import read_json, write_json
from kalam.models.bases import write_base
from kalam.models.download import fetch, local_files
from kalam.models.loading import load_base
from kalam.models.scratch import initialise, save
from kalam.text.tokens import load_tokenizer

CAUSAL, MASKED = "AutoModelForCausalLM", "AutoModelForMaskedLM"
OLD, NEW = "0" * 40, "1" * 40


def hub(revision: str = OLD, repository: str = "someone/tiny") -> dict:
    return {"kind": "hub", "task": "causal", "repository": repository, "revision": revision, "remote_code": False}


def local(path, task: str = "causal") -> dict:
    return {"kind": "local", "task": task, "path": str(path)}


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
    fetch(local(source), CAUSAL, tmp_path / "model")
    meta = read_json(tmp_path / "model" / "meta.json")
    assert (meta["kind"], meta["path"], meta["model_type"]) == ("local", str(source), "qwen2")
    assert meta["licence"] is None
    assert (tmp_path / "model" / "model.safetensors").resolve() == (source / "model.safetensors").resolve()
    ids = load_tokenizer(tmp_path / "model")("বৃষ্টি পড়ে")["input_ids"]
    assert ids == tokenizer("বৃষ্টি পড়ে")["input_ids"]
    with torch.no_grad():
        logits = load_base({"folder": tmp_path / "model"})(input_ids=torch.tensor([ids])).logits
    assert logits.shape == (1, len(ids), len(tokenizer))


def test_the_digest_follows_the_files(source, tmp_path):
    def digest() -> str:
        fetch(local(source), CAUSAL, tmp_path / "model")
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
    assert set(local_files(local(source))) == {str(source / name) for name in names}
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
        fetch(local(source), CAUSAL, tmp_path / "model")
    assert not list((tmp_path / "model").iterdir())


def test_a_model_is_not_linked_onto_itself(source):
    before = sorted(path.name for path in source.iterdir())
    with pytest.raises(InputError, match="allowed is any other folder"):
        fetch(local(source), CAUSAL, source)
    assert sorted(path.name for path in source.iterdir()) == before


@pytest.mark.parametrize("repository", ["someone/tiny", "not a name!", "a/b/c"])
def test_a_hub_that_does_not_answer_is_one_line(tmp_path, repository):
    with pytest.raises(InputError, match=f"^{repository} at {OLD}: cannot be fetched: ") as error:
        fetch(hub(repository=repository), CAUSAL, tmp_path / "model")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "model" / "meta.json").exists()


def test_what_was_fetched_before_is_there_without_the_hub(source, tmp_path):
    folder = tmp_path / "model"
    cached(source, folder)
    fetch(hub(), CAUSAL, folder)
    meta = read_json(folder / "meta.json")
    assert (meta["repository"], meta["revision"], meta["remote_code"]) == ("someone/tiny", OLD, False)
    load_base({"folder": folder})


def test_the_licence_is_the_configured_one_or_that_of_the_model_s_card_and_no_part_of_its_digest(source, tmp_path):
    fetch(local(source), CAUSAL, tmp_path / "plain")
    (source / "README.md").write_text("---\nlicense: gemma\n---\n", encoding="utf-8")
    fetch(local(source), CAUSAL, tmp_path / "own")
    fetch({**local(source), "licence": "mit"}, CAUSAL, tmp_path / "set")
    metas = [read_json(tmp_path / name / "meta.json") for name in ("plain", "own", "set")]
    assert [meta["licence"] for meta in metas] == [None, "gemma", "mit"]
    assert len({meta["digest"] for meta in metas}) == 1


def test_another_revision_is_never_taken_for_the_one_asked_for(source, tmp_path):
    folder = tmp_path / "model"
    cached(source, folder)
    fetch(hub(), CAUSAL, folder)
    (folder / "meta.json").unlink()
    with pytest.raises(InputError, match=f"{NEW}: cannot be fetched"):
        fetch(hub(NEW), CAUSAL, folder)
    (source / "generation_config.json").unlink()
    cached(source, folder, NEW)
    fetch(hub(NEW), CAUSAL, folder)
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


def test_weights_are_one_file_of_a_known_name_however_large(tiny, tokenizer, tmp_path, monkeypatch):
    from transformers import PreTrainedModel

    written, save_pretrained = [], PreTrainedModel.save_pretrained

    def watched(self, folder, **options):
        written.append(options["max_shard_size"])
        save_pretrained(self, folder, **options)

    monkeypatch.setattr(PreTrainedModel, "save_pretrained", watched)
    save(tiny(), tokenizer, tmp_path)
    assert written[0] > 10**15  # a petabyte
    assert [path.name for path in tmp_path.glob("*.safetensors*")] == ["model.safetensors"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "lama"}, "architecture.model_type: found lama; allowed are .*, such as llama"),
        ({"hidden_size": 33}, r"architecture: .* refuses it: The hidden size \(33\) is not a multiple of"),
        ({"vocab_size": 3}, "architecture.vocab_size: found 3; allowed is none, as it comes from the tokenizer"),
    ],
)
def test_an_architecture_that_cannot_be_is_refused(tokenizer, shapes, changes, message):
    with pytest.raises(InputError, match=message):
        initialise(shapes["llama"] | changes, tokenizer, 0)


def with_architectures(source, named: list[str] | None) -> None:
    """Have a model's config.json name other architectures, or none at all."""
    config = {key: value for key, value in read_json(source / "config.json").items() if key != "architectures"}
    write_json(source / "config.json", config if named is None else config | {"architectures": named})


@pytest.mark.parametrize(
    ("task", "head", "named"),
    [
        ("masked", MASKED, "Qwen2ForCausalLM"),
        ("causal", CAUSAL, "XLMRobertaForMaskedLM"),
        ("causal", CAUSAL, "BertForSequenceClassification"),
        ("reading", "AutoModelForImageTextToText", "Qwen2ForCausalLM"),
    ],
)
def test_a_model_with_the_head_of_another_task_is_refused(source, tmp_path, task, head, named):
    with_architectures(source, [named])
    with pytest.raises(InputError) as refusal:
        fetch(local(source, task), head, tmp_path / "model")
    assert str(refusal.value) == f"{source}: found {named}; allowed where the task is {task} is one for {head}"
    assert not list((tmp_path / "model").iterdir())


def test_the_head_of_a_hub_s_model_is_asked_for_too(source, tmp_path):
    cached(source, tmp_path / "model")
    with pytest.raises(InputError, match=r"^someone/tiny: found Qwen2ForCausalLM; allowed where the task is masked"):
        fetch(hub() | {"task": "masked"}, MASKED, tmp_path / "model")
    assert not (tmp_path / "model" / "meta.json").exists()


@pytest.mark.parametrize(
    "named",
    [None, [], ["GPT2LMHeadModel"], ["Qwen2VLForConditionalGeneration"], ["Qwen2ForCausalLM"]],
    ids=["no key", "none", "no task in the name", "no Auto class of it", "its own"],
)
def test_a_config_that_names_no_other_head_is_let_through(source, tmp_path, named):
    with_architectures(source, named)
    fetch(local(source), CAUSAL, tmp_path / "model")
    assert read_json(tmp_path / "model" / "meta.json")["model_type"] == "qwen2"


@pytest.fixture
def models(tmp_path) -> list:
    """The meta.json of three models."""
    found = [tmp_path / "models" / name / "meta.json" for name in ("tiny", "base", "floor")]
    for meta in found:
        meta.parent.mkdir(parents=True)
        write_json(meta, {"digest": f"of {meta.parent.name}", "remote_code": meta.parent.name == "base"})
    return found


def test_a_run_begins_with_the_model_it_names_or_with_the_one_that_was_chosen(models, tmp_path):
    write_json(tmp_path / "best.json", {"model": "floor", "bits_per_byte": 1.0})
    asked = []
    write_base("base", [], models, [], asked.append, tmp_path / "named.json")
    write_base("best", [tmp_path / "best.json"], models, [], asked.append, tmp_path / "chosen.json")
    named, chosen = (read_json(tmp_path / f"{which}.json") for which in ("named", "chosen"))
    assert named == {
        "model": "base",
        "run": None,
        "folder": str(models[1].parent),
        "adapter": None,
        "remote_code": True,
        "added": None,
        "digest": "of base",
    }
    assert (chosen["model"], chosen["folder"], chosen["digest"]) == ("floor", str(models[2].parent), "of floor")
    assert asked == [str(models[1].parent), str(models[2].parent)]


def test_a_model_that_will_not_do_is_refused_before_the_base_is_written(models, tmp_path):
    def require(folder):
        raise InputError(f"{folder}: no GGUF has XGLM")

    with pytest.raises(InputError, match="no GGUF has XGLM"):
        write_base("tiny", [], models, [], require, tmp_path / "base.json")
    assert not (tmp_path / "base.json").exists()
    write_base("tiny", [], models, [], None, tmp_path / "base.json")
    assert read_json(tmp_path / "base.json")["model"] == "tiny"


@pytest.mark.parametrize(
    ("kind", "folder", "adapter"),
    [("adapter", "models/tiny", "runs/first/adapter"), ("full", "runs/first/model", None)],
)
def test_a_run_begins_with_what_another_has_left(models, tmp_path, kind, folder, adapter):
    first = tmp_path / "runs" / "first"
    write_base("tiny", [], models, [], None, first / "base.json")
    write_json(first / "meta.json", {"digest": "trained", "identity": {"kind": kind}})
    # What was begun with has passed its own check.
    write_base("first", [], [], [first / "meta.json", first / "base.json"], pytest.fail, tmp_path / "base.json")
    base = read_json(tmp_path / "base.json")
    assert (base["model"], base["run"], base["folder"]) == ("tiny", "first", str(tmp_path / folder))
    assert base["adapter"] == (adapter and str(tmp_path / adapter))
    before = base["digest"]
    write_json(first / "meta.json", {"digest": "trained otherwise", "identity": {"kind": kind}})
    write_base("first", [], [], [first / "meta.json", first / "base.json"], None, tmp_path / "base.json")
    assert read_json(tmp_path / "base.json")["digest"] not in (before, "of tiny")
