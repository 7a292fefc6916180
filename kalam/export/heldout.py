"""What an export is compared on: held-out texts, windows of them, and openings to be continued."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kalam.evaluation.perplexity import Window, encode, windows
from kalam.files.digests import digest_text
from kalam.files.errors import InputError
from kalam.text.tokens import encode_plain, prefix_token

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PROMPTS, PROMPT, NEW = 4, 24, 24  # openings, and tokens of each and after each


@dataclass(frozen=True)
class HeldOut:
    """texts: all of them, whose ids are compared, as plain and as usual; windows: those whose logits are,
    with `bytes` of text scored in them; prompts: ids that are continued."""

    texts: list[str]
    plain: list[list[int]]
    usual: list[list[int]]
    windows: list[Window]
    bytes: int
    prompts: list[list[int]]

    @classmethod
    def of(
        cls,
        documents: Sequence[dict[str, Any]],
        tokenizer: "PreTrainedTokenizerFast",
        context: int,
        stride: int,
        tokens: int,
    ) -> "HeldOut":
        """Windows of `context` bytes over documents in the order of their digests, until `tokens` are scored.

        Raises InputError where the tokenizer keeps no document.
        """
        texts, chosen, prompts, size, scored = [d["text"] for d in documents], [], [], 0, 0
        prefix = prefix_token(tokenizer)
        for number, document in enumerate(sorted(documents, key=lambda d: digest_text(d["id"]))):
            ids, starts, failure = encode(tokenizer, document["text"])
            if failure or scored >= tokens:
                continue
            chosen += windows(number, ids, starts, prefix, context, stride)
            size, scored = size + len(document["text"].encode()), scored + len(ids)
            if len(prompts) < PROMPTS:
                prompts.append([prefix, *ids[:PROMPT]])
        if not chosen:
            raise InputError("export: no held-out document that the tokenizer keeps")
        plain = encode_plain(tokenizer, texts)["input_ids"]
        return cls(texts, plain, tokenizer(texts)["input_ids"], chosen, size, prompts)

    @property
    def context(self) -> int:
        """The tokens of the longest window, continuations included."""
        return max(PROMPT + 1 + NEW, *(len(window.tokens) for window in self.windows))

    def request(self) -> dict[str, Any]:
        """What a reader is asked (kalam.export.reading)."""
        sights = [window.tokens for window in self.windows]
        return {"texts": self.texts, "windows": sights, "prompts": self.prompts, "new_tokens": NEW}
