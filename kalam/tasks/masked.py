"""Masked language modelling: predict hidden tokens of a document from the others on both sides."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kalam.files.errors import InputError
from kalam.models.attention import attention_masks
from kalam.models.positions import first_position
from kalam.text.tokens import IGNORED
from kalam.training import task
from kalam.training.examples import Draw, Example, Examples
from kalam.training.packing import Columns
from kalam.training.task import Batch, stack

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

# Of the chosen tokens this share is replaced by the mask, and this by a random token; the rest stay
# as they are (Devlin et al. 2019, BERT, section 3.1).
MASKED, RANDOM = 0.8, 0.1


class Task(task.Task):
    def __init__(self, tokenizer: "PreTrainedTokenizerFast", share: float = 0.15, whole_words: bool = False):
        super().__init__(tokenizer)
        if tokenizer.mask_token_id is None:
            raise InputError(f"{tokenizer.name_or_path}: a masked task needs a tokenizer with a mask token")
        self.share, self.whole_words = share, whole_words
        self.mask = tokenizer.mask_token_id
        special = sorted(tokenizer.all_special_ids)
        # What is unknown is text and is predicted as such, but takes no other token's place.
        self.special = np.array([token for token in special if token != tokenizer.unk_token_id])
        self.ordinary = np.setdiff1d(np.arange(len(tokenizer)), special)

    @staticmethod
    def encode(tokenizer: "PreTrainedTokenizerFast", rows: Iterable[dict[str, Any]]) -> Iterator[Columns]:
        from kalam.text.tokens import encode_words

        documents = encode_words(tokenizer, (row["text"] for row in rows))
        return ({"tokens": ids, "word_starts": starts} for ids, starts in documents)

    def labels(self, examples: Examples, index: int, draw: Draw) -> int:
        return int(self.choose(examples.drawn(index, draw), np.random.default_rng(draw)).sum())

    def collate(self, examples: Sequence[Example], draws: Sequence[Draw]) -> Batch:
        """Each window is masked by its own draw."""
        return stack([self.hide(window, draw) for window, draw in zip(examples, draws, strict=True)], self.pad)

    def hide(self, window: Example, draw: Draw) -> Example:
        """The window with a share of its tokens, or of its words, hidden, and those as labels."""
        random = np.random.default_rng(draw)
        tokens = window["input_ids"]
        chosen = self.choose(window, random)
        hidden = tokens.copy()
        fate = random.random(len(tokens))
        hidden[chosen & (fate < MASKED)] = self.mask
        other = random.choice(self.ordinary, len(tokens))
        replaced = chosen & (fate >= MASKED) & (fate < MASKED + RANDOM)
        hidden[replaced] = other[replaced]
        kept = {key: window[key] for key in ("position_ids", "document")}
        return {**kept, "input_ids": hidden, "labels": np.where(chosen, tokens, IGNORED)}

    def choose(self, window: Example, random: np.random.Generator) -> np.ndarray:
        """bool [context]: which tokens are to be predicted; at least one where there is any but special ones."""
        padding = window["document"] < 0
        allowed = ~padding & ~np.isin(window["input_ids"], self.special)
        if not allowed.any():
            return allowed
        begins = window["word_starts"] if self.whole_words else True
        unit = np.cumsum(begins | padding)
        luck = random.random(unit[-1] + 1)[unit]
        luck = np.where(allowed, luck, np.inf)
        return luck < max(self.share, np.nextafter(luck.min(), 1.0))

    def inputs(self, model: "torch.nn.Module", batch: Batch) -> dict[str, Any]:
        if not self.packed:
            return self.inputs_apart(batch)
        return {
            "input_ids": batch["input_ids"],
            "position_ids": batch["position_ids"] + first_position(model),
            "attention_mask": attention_masks(model, batch["document"], causal=False),
        }
