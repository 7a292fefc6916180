"""Answers under a model: the sums of each against a plain forward pass, the floor, the report and the page."""

import math

import pytest
import torch

from kalam.evaluation import answers, answers_report, replies
from kalam.evaluation.bits import text_size
from kalam.evaluation.ngram import CharacterNgram
from kalam.evaluation.run_files import System
from kalam.files.errors import InputError
from kalam.files.jsonl import read_jsonl, write_jsonl
from kalam.text.chat_template import encode_conversation, encode_question


def conversation(number: int, *said: str, part: str = "talk") -> dict:
    roles = ["user", "assistant"] * len(said)
    messages = [{"role": role, "content": content} for role, content in zip(roles, said, strict=False)]
    row = {"id": f"{number:04d}", "group": f"g{number // 2}", "register": part, "source": "s"}
    return {**row, "messages": messages, "text": "\n\n".join(said)}


ROWS = [
    conversation(0, "বৃষ্টি কোথায় পড়ে?", "নদে, টাপুর টুপুর।"),
    conversation(1, "মழை?", "பெய்கிறது", "எல்லோருக்கும்?", "க்ஷேமம்."),
    conversation(2, "كِتَابٌ جَدِيدٌ على الطاولة؟", "نعم"),
    conversation(3, "কী?", "না"),
]


def test_an_answer_costs_what_its_tokens_cost(tiny, tokenizer):
    model = tiny()
    rows = list(answers.score(model, tokenizer, ROWS, batch=3))
    alone = list(answers.score(model, tokenizer, ROWS, batch=1))
    assert [row["nll"] for row in rows] == pytest.approx([row["nll"] for row in alone], rel=1e-6)
    for row, given in zip(rows, ROWS, strict=True):
        ids, marked = encode_conversation(tokenizer, given["messages"])
        with torch.no_grad():
            logs = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        places = [place for place, inside in enumerate(marked) if inside]
        assert row["nll"] == pytest.approx(-sum(float(logs[place - 1, ids[place]]) for place in places), rel=1e-5)
        assert row["tokens"] == len(places)
        assert row["correct"] == sum(int(logs[place - 1].argmax()) == ids[place] for place in places)
        assert (row["id"], row["part"], row["group"], row["failure"]) == (given["id"], "talk", given["group"], None)
    assert {key: rows[1][key] for key in ("bytes", "words")} == {
        "bytes": len("பெய்கிறது\n\nக்ஷேமம்.".encode()),
        "words": 2,
    }


def test_what_is_too_long_is_a_failure_and_not_left_out(tiny, tokenizer):
    long = conversation(9, "কী? " * 200, "না")
    scored = list(answers.score(tiny(), tokenizer, [*ROWS, long], batch=2))
    assert (scored[-1]["nll"], scored[-1]["failure"]) == (None, "longer than the model's positions")
    assert all(math.isfinite(row["nll"]) for row in scored[:-1])


def test_what_the_template_refuses_is_named(tiny, tokenizer):
    import copy

    refusing = copy.deepcopy(tokenizer)
    refusing.chat_template = "{{ raise_exception('no') }}"
    with pytest.raises(InputError, match="conversation 0000: the chat template refuses it: no"):
        list(answers.score(tiny(), refusing, ROWS, batch=1))


@pytest.fixture
def floor(tmp_path):
    files = {split: tmp_path / f"{split}.jsonl" for split in ("train", "validation", "test")}
    for file in files.values():
        write_jsonl(file, ROWS)
    answers.write_floor(files, ["talk"], [2, 3], tmp_path / "floor.jsonl")
    return list(read_jsonl(tmp_path / "floor.jsonl"))


def test_the_floor_counts_answers_and_no_question(floor):
    texts = [answers.answer_text(row) for row in ROWS]
    expected = CharacterNgram.fit(texts, 3).nlls(texts)[-1]
    assert [row["nll"] for row in floor] == pytest.approx(expected.tolist())
    assert [row["bytes"] for row in floor] == [text_size(text)["bytes"] for text in texts]


def evaluation(floor, nll: float, outcome=None, change: float = 0.1):
    rows = [{**row, "tokens": 4, "correct": 1, "nll": nll * row["bytes"]} for row in floor]
    better = [{**row, "correct": 3, "nll": row["nll"] - change * (1 + n)} for n, row in enumerate(rows)]
    systems = [
        System(role, name, "test", some)
        for role, name, some in (("floor", "floor", floor), ("base", "base", rows), ("adapted", "talk", better))
    ]
    about = {"project": "p", "run": "talk", "language": "bn", "outcome": outcome or {}}
    digests = {"test": {"talk": "0" * 64}}
    return answers_report.evaluate(about, {"run": None, "model": "m"}, systems, digests, 200, 1)


def test_the_report_says_what_its_rows_say(floor):
    found = evaluation(floor, 0.5)
    figures = {(row["role"], row["metric"]): row for row in found.metrics}
    size = sum(row["bytes"] for row in floor)
    gain = figures["adapted", "bits_per_byte_minus_base"]
    assert gain["value"] == pytest.approx(-0.1 * (1 + 2 + 3 + 4) / size / math.log(2))
    assert gain["low"] < gain["value"] < gain["high"] < 0
    assert (figures["adapted", "answer_accuracy"]["value"], figures["adapted", "bytes"]["value"]) == (0.75, size)
    assert ("floor", "answer_accuracy") not in figures
    assert (gain["n"], gain["groups"]) == (4, 2)
    assert "Register talk: 4 conversations in 2 groups" in found.text
    assert f"On talk the instructed model is {abs(gain['value']):.4f} bits per byte below the base" in found.text
    assert "Warning: talk has 4 conversations in 2 groups; with fewer than 30" in found.text
    assert "left out" not in found.text


def test_what_was_left_out_and_what_could_not_be_scored_is_said(floor):
    text = evaluation(floor, 0.5, {"left_out": {"train": 7, "validation": 0}}).text
    assert "Warning: 7 conversations of the train split were longer than the context and were left out." in text
    assert "validation split" not in text
    text = evaluation([{**row, "nll": 1.0} for row in floor], math.inf).text
    assert "4 of 4 conversations of talk are too long for the model" in text


class Parrot:
    """A model that goes on with the tokens it is told to."""

    def __init__(self, tokens):
        self.tokens, self.asked = tokens, None

    def parameters(self):
        yield torch.zeros(1)

    def generate(self, input_ids, max_new_tokens, eos_token_id, **_):
        self.asked, self.most, self.ends = input_ids[0].tolist(), max_new_tokens, eos_token_id
        return torch.cat([input_ids, torch.tensor([self.tokens])], 1)


def test_the_page_asks_the_question_and_shows_the_answer(tokenizer):
    said = tokenizer("নদে <b>।", add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
    models = {"base": Parrot([tokenizer.eos_token_id]), "adapted": Parrot(said)}
    load = {role: (lambda model=model: model) for role, model in models.items()}
    page = replies.page("p: talk", "bn", load, tokenizer, {"test": ROWS[:1]}, count=8)
    assert models["adapted"].asked == encode_question(tokenizer, ROWS[0]["messages"][:1])
    assert models["adapted"].ends == [tokenizer.eos_token_id]
    assert models["adapted"].most == 2 * len(tokenizer("নদে, টাপুর টুপুর।")["input_ids"])
    assert "নদে &lt;b&gt;।" in page and "টাপুর টুপুর" in page and page.count("বৃষ্টি কোথায় পড়ে?") == 3


@pytest.mark.parametrize("shape", ["llama", "xglm"])
def test_a_reply_is_the_likeliest_token_each_time(tiny, tokenizer, shape):
    model, ids = tiny(shape), encode_question(tokenizer, ROWS[0]["messages"][:1])
    asked = len(ids)
    with torch.no_grad():
        while len(ids) < asked + 16 and ids[-1] != tokenizer.eos_token_id:
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    expected = tokenizer.decode(ids[asked:], skip_special_tokens=True).strip()
    assert replies.reply(model, tokenizer, ROWS[0]["messages"][:1], most=5) == expected != ""
