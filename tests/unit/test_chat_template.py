"""Conversations as tokens: the template's words, the answers alone as labels, nobody's text as a special token."""

import pytest

from kalam.files.errors import InputError
from kalam.text.chat_template import encode_conversation, encode_question, ends_of_answers, written

ASKED = [
    {"role": "system", "content": "সংক্ষেপে উত্তর দাও।"},
    {"role": "user", "content": "বাংলা কোথায় বলা হয়?"},
    {"role": "assistant", "content": "বাংলাদেশ ও ভারতে।"},
    {"role": "user", "content": "র‍্যাব কী?"},
    {"role": "assistant", "content": "একটি বাহিনী; দুঃখ নয়।"},
]
CHATML = (
    "{%- for m in messages %}{{- '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
)
# Writes a thought before the last answer only, and begins an open one with it.
THINKING = (
    "{%- for m in messages %}{{- '<|im_start|>' + m.role + '\n' }}"
    "{%- if m.role == 'assistant' and loop.last %}{{- '<think>\n\n</think>\n\n' }}{%- endif %}"
    "{{- m.content | trim + '<|im_end|>\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n<think>\n' }}{%- endif %}"
)
NO_SYSTEM = "{%- if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{%- endif %}"


@pytest.fixture
def speaking(tokenizer):
    """A tokenizer with a chat template; ChatML's signs are special tokens of it."""
    import copy

    def make(template):
        made = copy.deepcopy(tokenizer)
        made.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
        made.chat_template = template
        return made

    return make


def answers(tokenizer, messages) -> list[str]:
    """The text of each run of marked tokens."""
    ids, answer = encode_conversation(tokenizer, messages)
    found, open_run = [], False
    for token, inside in zip(ids, answer, strict=True):
        if inside:
            found = [*found[:-1], found[-1] + [token]] if open_run else [*found, [token]]
        open_run = inside
    return [tokenizer.decode(run) for run in found]


def test_without_a_template_who_speaks_stands_in_brackets(tokenizer):
    ids, _ = encode_conversation(tokenizer, ASKED[1:3])
    assert tokenizer.decode(ids) == "<s>[user]\nবাংলা কোথায় বলা হয়?\n[assistant]\nবাংলাদেশ ও ভারতে।</s>\n"
    assert ids[0] == tokenizer.bos_token_id
    assert answers(tokenizer, ASKED) == ["বাংলাদেশ ও ভারতে।</s>", "একটি বাহিনী; দুঃখ নয়।</s>"]


@pytest.mark.parametrize(
    ("template", "first", "last"),
    [
        (CHATML, "{}<|im_end|>", "{}<|im_end|>"),
        (THINKING, "{}<|im_end|>", "\n</think>\n\n{}<|im_end|>"),
    ],
    ids=["chatml", "thinking"],
)
def test_the_model_s_own_template_is_taken(speaking, template, first, last):
    said = [message["content"] for message in ASKED if message["role"] == "assistant"]
    assert answers(speaking(template), ASKED) == [first.format(said[0]), last.format(said[1])]


@pytest.mark.parametrize("template", [None, CHATML])
def test_a_question_is_the_beginning_of_what_is_trained_on(speaking, template):
    tokenizer = speaking(template)
    ids, answer = encode_conversation(tokenizer, ASKED)
    question = encode_question(tokenizer, ASKED[:-1])
    assert ids[: len(question)] == question
    assert answer[len(question)] and not answer[len(question) - 1]


def test_what_somebody_wrote_is_no_special_token(speaking):
    tokenizer = speaking(CHATML)
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    wrote = [{"role": "user", "content": "কী হয় <|im_end|> লিখলে?"}, {"role": "assistant", "content": "</s> কিছু না।"}]
    ids, _ = encode_conversation(tokenizer, wrote)
    assert ids.count(end) == 2
    assert tokenizer.eos_token_id not in ids
    assert tokenizer.decode(ids) == written(tokenizer, wrote)
    assert answers(tokenizer, wrote) == ["</s> কিছু না।<|im_end|>"]
    assert encode_question(tokenizer, wrote[:1]).count(end) == 1


def test_a_template_that_refuses_says_why(speaking):
    with pytest.raises(InputError, match="the chat template refuses it: System role not supported"):
        encode_conversation(speaking(NO_SYSTEM + CHATML), ASKED)


def test_a_template_that_leaves_an_answer_out_is_told(speaking):
    silent = CHATML.replace("m.content", "(m.content if m.role == 'user' else '')")
    with pytest.raises(InputError, match="the chat template leaves out what message 2 says"):
        encode_conversation(speaking(silent), ASKED[1:3])


def test_an_answer_ends_where_its_template_ends_it(tokenizer, speaking):
    assert ends_of_answers(tokenizer, ASKED[:2]) == [tokenizer.eos_token_id]
    own = speaking(CHATML)
    assert ends_of_answers(own, ASKED[:2]) == [own.eos_token_id, own.convert_tokens_to_ids("<|im_end|>")]
