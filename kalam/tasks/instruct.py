"""Instruction tuning: predict the answers of a conversation from all that is said before them."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from kalam.files.errors import InputError
from kalam.tasks import causal
from kalam.text.chat_template import PLAIN, TEMPLATE_FILE, encode_conversation
from kalam.training.packing import Columns, TokenStream
from kalam.training.padding import ANSWER, PaddedExamples

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class Task(causal.Task):
    def __init__(self, tokenizer: "PreTrainedTokenizerFast"):
        super().__init__(tokenizer)
        if not tokenizer.chat_template:
            self.files = {TEMPLATE_FILE: PLAIN}

    @staticmethod
    def encode(tokenizer: "PreTrainedTokenizerFast", rows: Iterable[dict[str, Any]]) -> Iterator[Columns]:
        """Raises InputError for a conversation that the tokenizer's chat template refuses."""
        for row in rows:
            try:
                ids, answer = encode_conversation(tokenizer, row["messages"])
            except InputError as error:
                raise InputError(f"conversation {row['id']}: {error}") from None
            yield {"tokens": ids, ANSWER: answer}

    def examples(self, stream: TokenStream, context: int) -> PaddedExamples:
        return PaddedExamples(stream, context)
