"""Conversations from rows: both forms, what is none and why, and groups by the first question."""

import pytest

from kalam.corpus.clean import clean
from kalam.corpus.collect import collect
from kalam.corpus.conversations import ConversationSource, NoConversation, conversation
from kalam.files.errors import InputError

SETTINGS = {
    "kind": "files",
    "register": "talk",
    "fields": {},
    "group_by": "field",
    "author": None,
    "licence": "CC0-1.0",
    "retrieved": None,
}
CLEANING = {
    "min_characters": 10,
    "max_characters": 1000,
    "min_script_fraction": 0.5,
    "max_repeated_lines": 1.0,
    "max_symbols": 0.5,
}
ASKED, ANSWERED = {"role": "user", "content": "নদী কোথায়?"}, {"role": "assistant", "content": "গ্রামের ধারে।"}
SYSTEM = {"role": "system", "content": "সংক্ষেপে বলো।"}


def said(messages=None, **others):
    return {"messages": messages, "system": None, "prompt": None, "answer": None, **others}


def row(given, **settings):
    source = ConversationSource(SETTINGS | settings, "s", "bn")
    return source.row(given, {"path": "f.jsonl", "row": 3}, "f.jsonl")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (said([ASKED, ANSWERED]), [ASKED, ANSWERED]),
        (said([SYSTEM, ASKED, ANSWERED, ASKED, ANSWERED]), [SYSTEM, ASKED, ANSWERED, ASKED, ANSWERED]),
        (said(prompt="নদী কোথায়?", answer="গ্রামের ধারে।"), [ASKED, ANSWERED]),
        (said(system="সংক্ষেপে বলো।", prompt="নদী কোথায়?", answer="গ্রামের ধারে।"), [SYSTEM, ASKED, ANSWERED]),
        (
            said([{"from": "human", "value": "নদী কোথায়?"}, {"from": "gpt", "value": "গ্রামের ধারে।"}]),
            [ASKED, ANSWERED],
        ),
    ],
    ids=["messages", "several turns", "prompt and answer", "with a system", "other names"],
)
def test_both_forms_of_a_conversation(given, expected):
    assert conversation(given) == expected


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (said(), "no messages: nor a prompt with its answer"),
        (said([]), "no messages: found nothing"),
        (said("নদী"), "no messages: found str"),
        (said(prompt="নদী কোথায়?"), "nothing said: message 2 is nothing"),
        (said(prompt="নদী কোথায়?", answer=" \n"), "nothing said: message 2 is nothing"),
        (said([ASKED]), "no answer: the last word is not the assistant's"),
        (said([SYSTEM]), "no answer: the last word is not the assistant's"),
        (said([ANSWERED, ASKED]), "out of turn: message 1 is of assistant, not of user"),
        (said([SYSTEM, ASKED, ASKED]), "out of turn: message 3 is of user, not of assistant"),
        (said([ASKED, SYSTEM]), "out of turn: message 2 is of system, not of assistant"),
        (said([ASKED, {"role": "tool", "content": "x"}]), "unknown role: message 2 is of 'tool'; allowed are system,"),
        (said([ASKED, {"role": "assistant", "content": 7}]), "nothing said: message 2 is int"),
        (said([ASKED, {"role": "assistant", "content": [{"type": "image"}]}]), "nothing said: message 2 is list"),
        (said([ASKED, "গ্রামের ধারে।"]), "no message: message 2 is str"),
        (said([ASKED, {"role": "assistant", "content": "\ud800"}]), "no Unicode: message 2 has half a surrogate pair"),
    ],
)
def test_what_is_none_is_told_with_its_place(given, reason):
    with pytest.raises(NoConversation) as error:
        conversation(given)
    assert str(error.value).startswith(reason)


def test_a_row_is_a_document_with_its_messages():
    item = row({"messages": [SYSTEM, ASKED, ANSWERED], "licence": "CC-BY-4.0"})
    assert item.document["messages"] == [SYSTEM, ASKED, ANSWERED]
    assert item.document["text"] == "সংক্ষেপে বলো।\n\nনদী কোথায়?\n\nগ্রামের ধারে।"
    assert (item.document["register"], item.document["licence"]) == ("talk", "CC-BY-4.0")
    assert row({"messages": None}).reason == "no messages: nor a prompt with its answer"


def test_the_same_question_is_one_group_whoever_asks_it_and_a_column_wins():
    def group(question, **more):
        settings = more.pop("settings", {})
        return row({"prompt": question, "answer": "না", **more}, **settings).document["group"]

    assert group("নদী কোথায়?") == group("নদী  কোথায় !") == group("নদী কোথায়", system="বলো")
    assert group("নদী কোথায়?") != group("নদী কথায়?")  # a vowel sign is no punctuation
    assert group("নদী কোথায়?", group=7) == "s/7"
    assert group("নদী কোথায়?", settings={"group_by": "file"}) == "s/f.jsonl"


def test_columns_by_other_names():
    item = row({"q": "নদী কোথায়?", "a": "গ্রামের ধারে।"}, fields={"prompt": "q", "answer": "a"})
    assert item.document["messages"] == [ASKED, ANSWERED]


def test_a_group_that_can_be_none_is_refused():
    with pytest.raises(InputError, match=r"f\.jsonl:3: column group: found list"):
        row({"prompt": "ক", "answer": "খ", "group": [1]})


def test_a_text_is_no_row(tmp_path):
    (tmp_path / "a.txt").write_text("নদী", encoding="utf-8")
    source = SETTINGS | {
        "paths": ["a.txt"],
        "max_records": None,
        "document": "file",
        "max_bytes": 10**8,
        "title": "none",
    }
    with pytest.raises(InputError, match=r"source s: a\.txt: found \.txt, a text; allowed are files of rows"):
        list(collect(source, "s", "conversations", "bn", 1, tmp_path, tmp_path / "store"))


def test_each_message_is_normalised_and_all_of_them_are_the_text():
    messages = [{"role": "user", "content": "ন\u200bদী  কোথায়?"}, ANSWERED]
    cleaned, reason = clean({**row({"messages": messages}).document}, "bn", CLEANING)
    assert reason is None
    assert [message["content"] for message in cleaned["messages"]] == ["নদী কোথায়?", "গ্রামের ধারে।"]
    assert cleaned["text"] == "নদী কোথায়?\n\nগ্রামের ধারে।"
    assert cleaned["script_fraction"] == 1.0
