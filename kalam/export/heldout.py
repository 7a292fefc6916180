"""What an export is compared on: held-out texts, windows of them, and openings to be continued."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kalam.data.selection import Stream, by_digest, rows_of
from kalam.evaluation.perplexity import Window, encode, windows
from kalam.files.errors import InputError
from kalam.text.tokens import encode_ids, prefix_token

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PROMPTS = 4  # openings that are continued
PROMPT_TOKENS = 24  # of each opening
NEW_TOKENS = 24  # after each opening


@dataclass(frozen=True)
class HeldOut:
    """The held-out text of a run.

    texts: all of it, which stays in its file; ids: gives the token ids of a text, `plain` and, with the special tokens
    that the tokenizer adds or finds in it, `special`; windows: those whose logits are compared, with `bytes` of text
    scored in them; prompts: token ids that are continued.
    """

    texts: Iterable[str]
    ids: Callable[[str], dict[str, list[int]]]
    windows: list[Window]
    bytes: int
    prompts: list[list[int]]

    @classmethod
    def read(
        cls,
        file: str | Path,
        parts: Collection[str] | None,
        tokenizer: "PreTrainedTokenizerFast",
        evaluation: dict[str, int],
        tokens: int,
    ) -> "HeldOut":
        """The documents of a split in some parts; `evaluation` has the context and the stride in bytes.

        Raises InputError where there is none, or none that the tokenizer keeps.
        """
        return cls.of(rows_of(file, parts), tokenizer, evaluation["context"], evaluation["stride"], tokens)

    @classmethod
    def of(
        cls,
        documents: Iterable[dict[str, Any]],
        tokenizer: "PreTrainedTokenizerFast",
        context: int,
        stride: int,
        tokens: int,
    ) -> "HeldOut":
        """Windows of `context` bytes over documents in the order of their digests, until `tokens` are scored.

        The documents are gone through several times. Raises InputError where the tokenizer keeps no document.
        """
        chosen, prompts, size, scored = [], [], 0, 0
        prefix = prefix_token(tokenizer)
        for number, document in enumerate(by_digest(documents)):
            if scored >= tokens:
                break
            ids, starts, failure = encode(tokenizer, document["text"])
            if failure:
                continue
            chosen += windows(number, ids, starts, prefix, context, stride)
            size, scored = size + len(document["text"].encode()), scored + len(ids)
            if len(prompts) < PROMPTS:
                prompts.append([prefix, *ids[:PROMPT_TOKENS]])
        if not chosen:
            raise InputError("export: no held-out document that the tokenizer keeps")
        texts = Stream(lambda: (document["text"] for document in documents))
        return cls(texts, partial(token_ids, tokenizer), chosen, size, prompts)

    @property
    def window_ids(self) -> list[list[int]]:
        """The token ids of each window."""
        return [window.tokens for window in self.windows]

    @property
    def context(self) -> int:
        """The tokens of the longest window or continued opening."""
        return max(PROMPT_TOKENS + 1 + NEW_TOKENS, *map(len, self.window_ids))

    def request(self) -> dict[str, Any]:
        """What a reader is asked (kalam.export.reader_process)."""
        return {
            "windows": self.window_ids,
            "prompts": self.prompts,
            "new_tokens": NEW_TOKENS,
        }


def token_ids(tokenizer: "PreTrainedTokenizerFast", text: str) -> dict[str, list[int]]:
    """The ids of the text alone, `plain`, and with special tokens, `special`."""
    return {"plain": encode_ids(tokenizer, text), "special": tokenizer(text)["input_ids"]}
