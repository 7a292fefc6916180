"""What the card of an export says of licences: of the base's weights and of every text that went into them."""

import pytest
import yaml

from kalam.export.card import card
from kalam.export.licences import head, models_behind, uses
from kalam.files.jsonl import write_jsonl
from kalam.models.download import _licence

PAGE = "README.md#data-and-licences"


@pytest.mark.parametrize(
    ("base", "texts", "said"),
    [
        (None, ["CC0-1.0"], {"license": "cc0-1.0"}),
        (None, ["CC0-1.0", "cc0-1.0"], {"license": "cc0-1.0"}),
        ("apache-2.0", ["Apache-2.0"], {"license": "apache-2.0"}),
        ("gemma", ["gemma"], {"license": "gemma"}),
        # Gemma's terms go with what is made of it, and a text without conditions adds none.
        ("gemma", ["CC0-1.0"], {"license": "gemma"}),
        ("llama3.2", ["CC0-1.0"], {"license": "llama3.2"}),
        ("gemma", ["CC-BY-4.0", "CC0-1.0"], "gemma-and-cc-by-4.0"),
        ("apache-2.0", ["CC0-1.0"], "apache-2.0-and-cc0-1.0"),
        (None, ["CC-BY-4.0", "CC0-1.0"], "cc-by-4.0-and-cc0-1.0"),
        ("apache-2.0", ["unknown"], "apache-2.0-and-unknown"),
        ("unknown", ["CC0-1.0"], "unknown-and-cc0-1.0"),
        (None, ["unknown"], "unknown"),
        ("my own terms", [], {"license": "my own terms"}),
    ],
)
def test_the_licence_of_weights_is_that_of_their_base_and_of_all_texts(base, texts, said):
    expected = said if isinstance(said, dict) else {"license": "other", "license_name": said, "license_link": PAGE}
    assert head(base, texts, PAGE) == expected


SOURCES = {
    "poems": {"register": "verse", "licence": "CC0-1.0", "author": None},
    "songs": {"register": "song", "licence": None, "author": None},
    "news": {"register": "prose", "licence": "CC-BY-4.0", "author": "Agency"},
}
SECTION = {
    "language": "ta",
    "datasets": {"text": {"sources": SOURCES}, "talk": {"sources": {"chat": SOURCES["news"] | {"licence": "MIT"}}}},
    "models": {
        "gemma": {"kind": "hub", "repository": "google/gemma-3-1b-pt", "revision": "c" * 40},
        "wider": {"kind": "extended", "base": "gemma", "dataset": "text", "parts": ["verse"]},
        "made": {"kind": "scratch", "dataset": "text", "parts": ["prose"]},
    },
    "runs": {
        "song": {"base": "wider", "dataset": "text", "parts": ["song"]},
        "verse": {"base": "song", "dataset": "text", "parts": ["verse"]},
        "talk": {"base": "verse", "dataset": "talk", "parts": ["prose"]},
        "own": {"base": "made", "dataset": "text", "parts": ["verse"]},
    },
    "exports": {"repository": "me/it"},
}


def shown(run, base, origins, train=None):
    meta = {"base": base, "dtype": "bf16", "figures": {"divergence": 1e-6, "agreement": 1.0}}
    text = card("tamil", SECTION, run, meta, origins, uses(SECTION, run, base, train or {}), [], [])
    return text, yaml.safe_load(text.split("---")[1])


def test_the_runs_before_and_an_extended_base_are_named_with_their_data():
    assert models_behind(SECTION["models"], "wider") == ["gemma", "wider"]
    text, front = shown("talk", "wider", {"gemma": {"licence": "gemma"}})
    assert front["base_model"] == "google/gemma-3-1b-pt"
    assert (front["license"], front["license_name"]) == ("other", "gemma-and-mit-and-unknown")
    assert front["license_link"] == "https://huggingface.co/me/it#data-and-licences"
    rows = [line.split(" | ")[:4] for line in text.splitlines() if line.startswith(("| base", "| run"))]
    assert rows == [
        ["| base wider", "poems", "verse", "CC0-1.0"],
        ["| run song", "songs", "song", "unknown"],
        ["| run verse", "poems", "verse", "CC0-1.0"],
        ["| run talk", "chat", "prose", "MIT"],
    ]
    assert (
        "first adapted to song (run song), first adapted to verse (run verse), then adapted to prose, in bf16" in text
    )
    assert "whose licence (gemma) holds for these weights too; its vocabulary was extended" in text


def test_a_base_without_a_licence_is_unknown_and_one_made_here_has_that_of_its_texts():
    _, front = shown("song", "wider", {"gemma": {}})
    assert front["license_name"] == "unknown-and-cc0-1.0"
    text, front = shown("own", "made", {})
    assert front["license_name"] == "cc-by-4.0-and-cc0-1.0"
    assert "base_model" not in front
    assert "| base made | news | prose | CC-BY-4.0 | Agency |" in text


def test_the_rows_that_were_trained_on_say_their_licences_before_the_settings_do(tmp_path):
    rows = [("songs", "CC-BY-SA-4.0"), ("songs", None), ("songs", "CC-BY-SA-4.0"), ("poems", "CC0-1.0")]
    write_jsonl(tmp_path / "train.jsonl", [{"source": source, "licence": licence} for source, licence in rows])
    text, front = shown("song", "gemma", {"gemma": {"licence": "gemma"}}, {"text": tmp_path / "train.jsonl"})
    assert front["license_name"] == "gemma-and-cc-by-sa-4.0-and-unknown"
    assert "| run song | songs | song | CC-BY-SA-4.0, unknown |" in text


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: gemma\ntags: [x]\n---\n# Gemma\n", "gemma"),
        ("---\nlicense: other\nlicense_name: qwen-research\n---\n", "qwen-research"),
        ("---\nlanguage: bn\n---\n", None),
        ("# license: mit\n", None),
        ("---\n: : [\n---\n", None),
        ("---\nlicense: [mit, gpl]\n---\n", None),
        (None, None),
    ],
)
def test_a_model_s_own_card_names_its_licence(tmp_path, card, licence):
    if card is not None:
        (tmp_path / "README.md").write_text(card, encoding="utf-8")
    assert _licence(tmp_path / "README.md") == licence
