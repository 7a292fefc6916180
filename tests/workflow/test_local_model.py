"""A model of another family from a folder in the hub's layout, the whole way to ppl.txt."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from pipeline import ADAPTER, RESULTS, Project

from kalam.files.tables import read_tsv

END = "<|endoftext|>"


def make_qwen(folder: Path, texts: Iterator[str], seed: int, **changes: int) -> None:
    """Save an untrained Qwen2 with a tokenizer like its family's: byte-level BPE, no beginning-of-sequence token."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=400, special_tokens=[END], initial_alphabet=alphabet, show_progress=False)
    )
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token=END)
    shape = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, **changes}
    config = Qwen2Config(
        vocab_size=len(wrapped),
        num_key_value_heads=2,
        max_position_embeddings=1024,
        eos_token_id=wrapped.eos_token_id,
        pad_token_id=wrapped.pad_token_id,
        bos_token_id=None,
        **shape,
    )
    torch.manual_seed(seed)
    Qwen2ForCausalLM(config).save_pretrained(folder)
    wrapped.save_pretrained(folder)


@pytest.fixture(scope="module")
def qwens(tmp_path_factory: pytest.TempPathFactory, finished: Project) -> Path:
    """A folder with two models, `one` and `two`."""
    folder = tmp_path_factory.mktemp("models")
    for seed, name in enumerate(("one", "two")):
        texts = (row["text"] for row in finished.rows(RESULTS / "data/text/train.jsonl"))
        make_qwen(folder / name, texts, seed)
    return folder


def with_models(project: Project, **paths: Path) -> None:
    """Compare and adapt local models only; none is made here."""
    with project.changed() as section:
        section["models"] = {name: {"kind": "local", "path": str(path)} for name, path in paths.items()}


def test_local_models_and_one_with_more_pieces_compete_and_are_adapted(finished_copy, qwens):
    """In one run: the best is adapted, and so is the one with more pieces, whose new rows are trained."""
    project = finished_copy
    with_models(project, one=qwens / "one", two=qwens / "two")
    with project.changed() as section:
        section["models"]["more"] = {"kind": "extended", "base": "one", "pieces": 60, "parts": ["verse"]}
        section["runs"]["widened"] = section["runs"]["adapt"] | {"base": "more", "parts": ["prose", "verse"]}
    jobs = project.run().jobs
    assert (jobs["fetch_model"], jobs["extend_model"], jobs["score_model"], jobs["train_run"]) == (2, 1, 3, 2)
    assert not {"collect", "clean", "merge", "split", "pretrain", "tokenise_model"} & jobs.keys()
    check_that_the_better_one_is_adapted(project)
    check_that_every_document_is_scored(project, "one")
    check_that_new_pieces_are_used_and_trained(project)
    assert project.plan().jobs == {}
    with project.changed() as section:
        section["models"]["more"]["pieces"] = 50
    again = project.plan(RESULTS / "runs/widened/report.txt").jobs
    assert again["extend_model"] == again["score_model"] == again["train_run"] == 1
    assert "fetch_model" not in again


def check_that_the_better_one_is_adapted(project: Project) -> None:
    best = project.json(RESULTS / "models/best.json")["model"]
    others = {"one", "two", "more"} - {best}
    text = (project / RESULTS / "ppl.txt").read_text(encoding="utf-8")
    for register in ("verse", "prose"):
        lines = text.split(f"Register {register} ")[1].split("\n\n")[0].splitlines()[2:]
        *_, first, second, base, adapted = [re.split(r"  +", line)[0] for line in lines]
        assert {first, second} == {f"candidate {other}" for other in others}
        assert (base, adapted) == (f"base {best}", f"adapted {best}")
    assert project.json(ADAPTER)["identity"]["base"] == project.json(RESULTS / "models" / best / "meta.json")["digest"]
    assert project.json(RESULTS / "models/two/meta.json")["model_type"] == "qwen2"
    assert (project / RESULTS / "models/two/model.safetensors").is_symlink(), "weights are not copied"


def check_that_every_document_is_scored(project: Project, model: str) -> None:
    rows = project.rows(RESULTS / "models" / model / "scores/text.test.jsonl")
    documents = {row["id"]: row for row in project.rows(RESULTS / "data/text/test.jsonl")}
    assert {row["id"] for row in rows} == documents.keys()
    assert all(row["bytes"] == len(documents[row["id"]]["text"].encode()) for row in rows)
    assert all(0 < row["nll"] < 1e5 and not row["failure"] for row in rows)


def check_that_new_pieces_are_used_and_trained(project: Project) -> None:
    rows = read_tsv(project / RESULTS / "models/more/tokens_per_byte.tsv")
    assert [row["register"] for row in rows] == ["prose", "verse"]
    assert all(int(row["base_tokens"]) > int(row["extended_tokens"]) > 0 for row in rows)
    config = project.json(RESULTS / "runs/widened/adapter/adapter_config.json")
    added = list(range(*project.json(RESULTS / "models/more/meta.json")["added"]))
    assert config["trainable_token_indices"] == {"model.embed_tokens": added, "lm_head": added}
    text = (project / RESULTS / "ppl.txt").read_text(encoding="utf-8")
    assert "adapted more" in text.split("run widened")[1]


def test_two_projects_may_give_one_name_to_different_kinds(finished_copy, qwens):
    """Models made here and linked, causal and masked runs: each project's files come about by its own rules."""
    config = yaml.safe_load((finished_copy / "config/config.yaml").read_text(encoding="utf-8"))
    other = json.loads(json.dumps(config["projects"]["bangla"]))
    other["models"] = {"llama": {"kind": "local", "path": str(qwens / "one")}}
    tokenizer = {"kind": "unigram", "vocabulary": 200}
    shape = {"model_type": "xlm-roberta", "hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}
    shape |= {"num_hidden_layers": 1, "max_position_embeddings": 130}
    other["models"]["xglm"] = {"kind": "scratch", "task": "masked", "tokenizer": tokenizer, "architecture": shape}
    whole = {"tuning": "full", "quantisation": "none"}
    other["runs"]["adapt"] |= {"task": "masked", "base": "xglm", "parts": ["prose", "verse"], **whole}
    config["projects"]["not-bangla"] = other
    (finished_copy / "config/config.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    assert finished_copy.plan("results/bangla/ppl.txt").jobs == {}
    jobs = finished_copy.plan("results/not-bangla/ppl.txt").jobs
    assert (jobs["fetch_model"], jobs["pretrain"], jobs["train_run_whole"], jobs["evaluate_masked"]) == (1, 1, 1, 1)
    assert not {"train_run", "evaluate_causal", "score_run"} & jobs.keys()


def test_a_local_model_is_one_candidate_among_scratch_ones(finished_copy, qwens):
    """Only what is new is made; the scores of the others stand."""
    with finished_copy.changed() as section:
        section["models"]["qwen"] = {"kind": "local", "path": str(qwens / "one")}
    jobs = finished_copy.plan().jobs
    assert jobs["fetch_model"] == jobs["score_model"] == 1
    assert not {"pretrain", "tokenise_model", "floors"} & jobs.keys()


@pytest.fixture
def fetched(finished_copy: Project, qwens: Path, tmp_path: Path) -> tuple[Project, Path]:
    """A project that has fetched the model `own`, and the folder it came from."""
    folder = tmp_path / "own"
    shutil.copytree(qwens / "one", folder)
    with_models(finished_copy, own=folder)
    finished_copy.run(RESULTS / "models/own/meta.json")
    return finished_copy, folder


def test_a_touched_model_is_not_fetched_again_a_changed_one_is_and_nothing_of_it_stays(fetched, qwens):
    project, folder = fetched
    digest = project.json(RESULTS / "models/own/meta.json")["digest"]
    for file in folder.iterdir():
        file.touch()
    assert project.plan(RESULTS / "models/own/meta.json").jobs == {}

    shutil.copy(qwens / "two/model.safetensors", folder)
    project.run(RESULTS / "models/own/meta.json")
    assert project.json(RESULTS / "models/own/meta.json")["digest"] != digest

    (folder / "chat_template.jinja").write_text("{{ messages }}", encoding="utf-8")
    project.run(RESULTS / "models/own/meta.json")
    assert (project / RESULTS / "models/own/chat_template.jinja").exists()
    with_models(project, own=qwens / "two")
    project.run(RESULTS / "models/own/meta.json")
    left = {file.name for file in (project / RESULTS / "models/own").iterdir()}
    assert left == {"meta.json", *(file.name for file in (qwens / "two").iterdir())}


@pytest.mark.parametrize(
    ("spoil", "line"),
    [
        (lambda folder: shutil.rmtree(folder), "config.json is missing"),
        (lambda folder: (folder / "model.safetensors").unlink(), "no .safetensors weights"),
    ],
)
def test_a_folder_without_a_model_is_refused_in_one_line(finished_copy, qwens, tmp_path, spoil, line):
    folder = tmp_path / "own"
    shutil.copytree(qwens / "one", folder)
    spoil(folder)
    with_models(finished_copy, own=folder)
    outcome = finished_copy.snakemake(RESULTS / "models/own/meta.json")
    assert outcome.status == 1
    (last,) = finished_copy.log("fetch_model/own.log").splitlines()[-1:]
    assert f"error: {folder}: " in last and line in last
    assert "Traceback" not in outcome.output


def test_a_model_of_another_kind_is_refused_in_one_line(finished_copy, qwens, tmp_path):
    """Weights of an architecture that predicts no next token."""
    folder = tmp_path / "own"
    shutil.copytree(qwens / "one", folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "t5"}), encoding="utf-8")
    with_models(finished_copy, own=folder)
    outcome = finished_copy.snakemake(RESULTS / "models/own/scores/text.test.jsonl")
    assert outcome.status == 1
    assert "error: results/bangla/models/own: no CausalLM model that can be loaded" in outcome.output
    assert "Traceback" not in outcome.output
