"""Rows are let go as they were read: how many texts are alive at once does not depend on how many there are."""

from collections.abc import Iterator, Sequence

import pytest

from kalam.corpus.collect import _sample
from kalam.corpus.items import Item
from kalam.data import selection
from kalam.data.selection import Stream, by_digest
from kalam.evaluation import answers, hidden_tokens, ngram, perplexity
from kalam.evaluation.bits import text_digests
from kalam.evaluation.continuations import openings
from kalam.evaluation.fillings import gaps
from kalam.export.heldout import HeldOut
from kalam.files.digests import digest_value
from kalam.files.jsonl import read_jsonl, write_json, write_jsonl
from kalam.models.extension import tokens_per_byte
from kalam.text.tokens import encode_plain, save_tokenizer
from kalam.text.vocabulary import extend

ROWS = 40
FEW = 4  # rows that fill a batch here
WORDS = ["বৃষ্টি", "পড়ে", "টাপুর", "টুপুর,", "নদে", "এল", "বান।", "মழை", "பெய்கிறது"]


class Text(str):
    """A text that says when it is gone."""

    alive = most = 0

    def __init__(self, _: str):
        Text.alive += 1
        Text.most = max(Text.most, Text.alive)

    def __del__(self):
        Text.alive -= 1


def told(row: dict) -> dict:
    """The row with such texts, which nothing but who was given them holds."""
    messages = [{**each, "content": Text(each["content"])} for each in row["messages"]]
    return {**row, "text": Text(row["text"]), "messages": messages}


def row(number: int) -> dict:
    text = " ".join(WORDS[(number * 7 + place * (1 + number % 5)) % len(WORDS)] for place in range(12))
    said = [{"role": role, "content": f"{text} {role}"} for role in ("user", "assistant")]
    return {"id": f"d{number:02}", "group": f"g{number}", "register": "verse", "text": text, "messages": said}


PLAIN = [row(number) for number in range(ROWS)]
TEXTS_OF_A_ROW = 3


class Documents(Sequence):
    """Rows that are made when they are asked for."""

    def __len__(self) -> int:
        return ROWS

    def __getitem__(self, place: int) -> dict:
        if place >= ROWS:
            raise IndexError
        return told(PLAIN[place])

    def texts(self) -> Iterator[str]:
        return (each["text"] for each in self)


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Batches of a few rows; afterwards, no more than two of these were alive at once."""
    size = FEW * len(PLAIN[0]["text"])
    for module in (perplexity, hidden_tokens, answers):
        monkeypatch.setattr(module, "CHUNK", size)
    monkeypatch.setattr(ngram, "BATCH", size)
    monkeypatch.setattr(selection, "SHOWN", FEW)
    monkeypatch.setattr(selection, "read_jsonl", lambda path, shard: map(told, read_jsonl(path, shard)))
    Text.alive = Text.most = 0
    yield
    assert 0 < Text.most <= 2 * (FEW + 2) * TEXTS_OF_A_ROW < ROWS * TEXTS_OF_A_ROW / 2
    assert Text.alive == 0


@pytest.fixture
def files(tmp_path) -> dict:
    for split in ("train", "validation", "test"):
        write_jsonl(tmp_path / f"{split}.jsonl", PLAIN)
    return {split: tmp_path / f"{split}.jsonl" for split in ("train", "validation", "test")}


def test_floors_of_characters(files, tmp_path):
    outputs = {name: tmp_path / name for name in ("floor", "meta")}
    ngram.write_floors(files, {"floor": ["verse"]}, [2, 3], {"floor": outputs["floor"]}, outputs["meta"])
    assert [each["id"] for each in read_jsonl(outputs["floor"])] == [each["id"] for each in PLAIN]


def test_floors_of_answers(files, tmp_path):
    answers.write_floor(files, ["verse"], [2, 3], tmp_path / "floor")
    sizes = [len(f"{each['text']} assistant") for each in PLAIN]
    assert [each["characters"] for each in read_jsonl(tmp_path / "floor")] == sizes


def test_floors_of_tokens(files, unigram, tmp_path):
    save_tokenizer(unigram, tmp_path / "base")
    write_json(tmp_path / "base.json", {"folder": str(tmp_path / "base")})
    output = tmp_path / "floor"
    hidden_tokens.write_floor(
        tmp_path / "base.json", files["train"], ["verse"], {"test": files["test"]}, {"test": output}
    )
    sizes = [len(encode_plain(unigram, each["text"])["input_ids"]) for each in PLAIN]
    assert [each["tokens"] for each in read_jsonl(output)] == sizes


def as_scored(rows: Iterator[dict]) -> list[float]:
    """The figures of all rows; the first was there before the last was read."""
    first = next(rows)
    assert Text.most < ROWS
    return [first["nll"], *(each["nll"] for each in rows)]


def test_scores_of_a_causal_model(tiny, tokenizer):
    found = as_scored(perplexity.score(tiny(), tokenizer, iter(Documents()), 64, 32, 4))
    alone = [next(perplexity.score(tiny(), tokenizer, [each], 64, 32, 4))["nll"] for each in PLAIN]
    assert found == pytest.approx(alone, rel=1e-6)


def test_scores_of_a_masked_model(masked_model, unigram):
    model = masked_model(vocabulary=len(unigram))
    found = as_scored(hidden_tokens.score(model, unigram, iter(Documents()), 64, 0.5, 1, 8))
    alone = [next(hidden_tokens.score(model, unigram, [each], 64, 0.5, 1, 8))["nll"] for each in PLAIN]
    assert found == pytest.approx(alone, rel=1e-6)


def test_scores_of_answers(tiny, tokenizer):
    model = tiny(max_position_embeddings=1024)
    found = as_scored(answers.score(model, tokenizer, iter(Documents()), 4))
    alone = [next(answers.score(model, tokenizer, [each], 4))["nll"] for each in PLAIN]
    assert found == pytest.approx(alone, rel=1e-6)


def test_documents_of_a_random_sample():
    def items(rows) -> Iterator[Item]:
        return (Item({"path": "a.jsonl", "row": number}, each) for number, each in enumerate(rows))

    def of_lowest_digest(item: Item) -> int:
        return int(digest_value([3, item.place]), 16)

    lowest = sorted(items(PLAIN), key=of_lowest_digest)[:9]
    assert list(_sample(items(Documents()), 9, 3)) == sorted(lowest, key=lambda item: item.place["row"])


def test_digests_of_held_out_text():
    assert text_digests(Documents()) == text_digests(PLAIN)


def test_openings_and_gaps_of_a_page(unigram):
    assert openings(Documents(), 3) == openings(PLAIN, 3)
    assert gaps(unigram, Documents(), 3, 64) == gaps(unigram, PLAIN, 3, 64)


def test_rows_that_are_looked_at_in_the_order_of_their_digests():
    ids = [each["id"] for each in by_digest(PLAIN)]
    assert [each["id"] for each in by_digest(Documents())] == ids


def test_what_an_export_is_compared_on(tokenizer):
    held, plain = (HeldOut.of(rows, tokenizer, 64, 32, 100) for rows in (Documents(), PLAIN))
    assert (held.windows, held.bytes, held.prompts) == (plain.windows, plain.bytes, plain.prompts)
    sizes = [len(encode_plain(tokenizer, each["text"])["input_ids"]) for each in PLAIN]
    assert [len(held.ids(text)["plain"]) for text in held.texts] == sizes


def test_tokens_that_are_counted_before_and_after_an_extension(tokenizer, unigram):
    both = {"base": tokenizer, "extended": unigram}
    assert tokens_per_byte(both, iter(Documents())) == tokens_per_byte(both, PLAIN)


def test_pieces_that_are_learnt(tokenizer):
    _, parts = extend(tokenizer, Stream(Documents().texts), 5)
    assert parts == extend(tokenizer, [each["text"] for each in PLAIN], 5)[1]
