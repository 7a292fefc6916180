"""Conversations from the rows of a source: messages, or a prompt and its answer."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import regex

from kalam.corpus.items import LABELS, Item, Source
from kalam.data.fields import group_of, is_unicode, label_of, take
from kalam.files.digests import digest_text

# What others call who speaks.
ROLES = {"system": "system", "user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant"}
SAID = ("system", "prompt", "answer")
BETWEEN_WORDS = regex.compile(r"[^\p{L}\p{M}\p{N}]+")

Messages = list[dict[str, str]]


class NoConversation(ValueError):
    """Why a row is none, as `key: detail`."""


class ConversationSource(Source):
    """A source of rows that are conversations; those with the same first question share a group, where nothing else
    is said."""

    checks: ClassVar = {**dict.fromkeys(("messages", *SAID), lambda value: value), **dict.fromkeys(LABELS, label_of)}
    checks["group"] = group_of
    needed: ClassVar = ()  # a row has `messages`, or `prompt` and `answer`
    texts: ClassVar = False

    def row(self, row: Mapping[str, Any], place: dict[str, Any], file: str) -> Item:
        """What a row holds, by the column names in `fields`; `file` is the path or dataset it is in."""
        own = take(row, self.columns, self.checks, file, place["row"])
        said = {field: own.pop(field, None) for field in ("messages", *SAID)}
        try:
            messages = conversation(said)
        except NoConversation as reason:
            return Item(place, reason=str(reason))
        named = own.pop("group", None)
        document = self.document(spoken(messages), self.group_of_row(named, place, file), **own)
        if "group" in self.columns and named is None:
            document["group"] = f"question/{_question(messages)}"
        return Item(place, {**document, "messages": messages})


def conversation(said: Mapping[str, Any]) -> Messages:
    """The messages of a row: `messages`, or else `prompt` and `answer`, behind `system` where there is one.

    One of the system may come first, then a person and the assistant take turns, and the assistant has the last
    word. Raises NoConversation for anything else.
    """
    messages = said["messages"]
    if messages is None:
        if said["prompt"] is None and said["answer"] is None:
            raise NoConversation("no messages: nor a prompt with its answer")
        turns = zip(("system", "user", "assistant"), (said[field] for field in SAID), strict=True)
        messages = [{"role": role, "content": text} for role, text in turns if role != "system" or text is not None]
    if not isinstance(messages, list) or not messages:
        raise NoConversation(f"no messages: found {_shown(messages)}")
    found = [_message(message, number) for number, message in enumerate(messages, start=1)]
    turns = found[1:] if found[0]["role"] == "system" else found
    for number, message in enumerate(turns):
        expected = ("user", "assistant")[number % 2]
        if message["role"] != expected:
            place = number + 1 + len(found) - len(turns)
            raise NoConversation(f"out of turn: message {place} is of {message['role']}, not of {expected}")
    if not turns or len(turns) % 2:
        raise NoConversation("no answer: the last word is not the assistant's")
    return found


def spoken(messages: Sequence[Mapping[str, str]]) -> str:
    """All that is said, a blank line between two messages: what rules, duplicates and statistics look at."""
    return "\n\n".join(message["content"] for message in messages)


def _message(message: Any, number: int) -> dict[str, str]:
    if not isinstance(message, dict):
        raise NoConversation(f"no message: message {number} is {_shown(message)}")
    role, content = message.get("role", message.get("from")), message.get("content", message.get("value"))
    if role not in ROLES:
        raise NoConversation(f"unknown role: message {number} is of {role!r}; allowed are {', '.join(ROLES)}")
    if not isinstance(content, str) or not content.strip():
        raise NoConversation(f"nothing said: message {number} is {_shown(content)}")
    if not is_unicode(content):
        raise NoConversation(f"no Unicode: message {number} has half a surrogate pair")
    return {"role": ROLES[role], "content": content}


def _question(messages: Messages) -> str:
    """A name for what is asked first, whatever its spaces, punctuation and case."""
    first = next(message["content"] for message in messages if message["role"] == "user")
    return digest_text(BETWEEN_WORDS.sub(" ", first).strip().casefold())[:16]


def _shown(value: Any) -> str:
    return (
        "nothing" if value in (None, "", []) or (isinstance(value, str) and not value.strip()) else type(value).__name__
    )
