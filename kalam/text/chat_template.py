"""Conversations as tokens, by the chat template of a tokenizer, with the answers marked."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kalam.files.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Messages = Sequence[dict[str, str]]

TEMPLATE_FILE = "chat_template.jinja"  # in a model's folder
# For a tokenizer that has none, as that of a model made here: who speaks in brackets, EOS behind each answer.
PLAIN = (
    "{{- bos_token }}"
    "{%- for message in messages %}{{- '[' + message['role'] + ']\n' + message['content'] }}"
    "{%- if message['role'] == 'assistant' %}{{- eos_token }}{% endif %}{{- '\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '[assistant]\n' }}{% endif %}"
)


def encode_conversation(tokenizer: "PreTrainedTokenizerFast", messages: Messages) -> tuple[list[int], list[bool]]:
    """The tokens of a conversation, and which of them an answer is made of, what ends it included.

    What people wrote is text: a `</s>` among it is five characters. Raises InputError where the template refuses the
    conversation, or leaves an answer out.
    """
    text = written(tokenizer, messages)
    answers = list(_answers(tokenizer, messages, text))
    ids, answer = [], []
    for begin, piece, special in _pieces(tokenizer, messages, text):
        options = {"add_special_tokens": False, "split_special_tokens": not special, "return_offsets_mapping": True}
        encoded = tokenizer(piece, **options)
        ids += encoded["input_ids"]
        places = [begin + first for first, _ in encoded["offset_mapping"]]
        answer += [any(first <= place < last for first, last in answers) for place in places]
    return ids, answer


def encode_question(tokenizer: "PreTrainedTokenizerFast", messages: Messages) -> list[int]:
    """The tokens of a conversation up to where the next answer begins."""
    text = written(tokenizer, messages, answer=True)
    ids = []
    for _, piece, special in _pieces(tokenizer, messages, text):
        ids += tokenizer(piece, add_special_tokens=False, split_special_tokens=not special)["input_ids"]
    return ids


def ends_of_answers(tokenizer: "PreTrainedTokenizerFast", messages: Messages) -> list[int]:
    """The tokens that end an answer to a conversation: EOS, and the template's own where that is another."""
    ids, answer = encode_conversation(tokenizer, [*messages, {"role": "assistant", "content": "."}])
    last = [token for token, inside in zip(ids, answer, strict=True) if inside][-1]
    own = [last] if last in tokenizer.added_tokens_decoder else []
    return list(dict.fromkeys(token for token in (tokenizer.eos_token_id, *own) if token is not None))


def written(tokenizer: "PreTrainedTokenizerFast", messages: Messages, answer: bool = False) -> str:
    """The conversation as its model reads it, with `answer` up to where the next answer begins."""
    from jinja2 import TemplateError

    template = tokenizer.chat_template or PLAIN
    options: dict[str, Any] = {"tokenize": False, "add_generation_prompt": answer, "chat_template": template}
    try:
        return tokenizer.apply_chat_template(list(messages), **options)
    except TemplateError as error:
        raise InputError(f"the chat template refuses it: {error}") from None


def _answers(tokenizer: "PreTrainedTokenizerFast", messages: Messages, text: str):
    """Where each answer begins and ends in the text, with what the template ends it with, less white space.

    A template may write an open question otherwise than an answered one (with a thought to be thought), and an answer
    otherwise once more is said: what both have in common is what counts.
    """
    for index, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        said = message["content"].strip()
        begin = _shared(text, written(tokenizer, messages[:index], answer=True))
        place, last = text.find(said, begin), written(tokenizer, messages[: index + 1])
        if place < 0 or said not in last:
            raise InputError(f"the chat template leaves out what message {index + 1} says")
        end = place + len(said)
        after = text[end:]
        yield begin, end + len(after[: _shared(after, last[last.rindex(said) + len(said) :])].rstrip())


def _shared(one: str, other: str) -> int:
    """How many characters two texts begin with in common."""
    pairs = zip(one, other, strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _pieces(tokenizer: "PreTrainedTokenizerFast", messages: Messages, text: str):
    """The text in pieces, each with where it begins and whether special tokens in it are meant as such.

    One piece, where nobody wrote what looks like a special token.
    """
    special = [str(token) for token in tokenizer.added_tokens_decoder.values()]
    contents = [message["content"].strip() for message in messages]
    if not any(token in content for content in contents for token in special):
        yield 0, text, True
        return
    place = 0
    for content in contents:
        found = text.find(content, place)
        if found < 0:
            continue
        yield place, text[place:found], True
        yield found, content, False
        place = found + len(content)
    yield place, text[place:], True
