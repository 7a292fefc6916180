"""Other ways to write a text in the pieces of a byte-level BPE: BPE-dropout (Provilkov et al. 2020)."""

import json
from collections.abc import Iterable, Sequence
from random import Random
from typing import TYPE_CHECKING

from kalam.files.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

NEVER = float("inf")


class Rewriter:
    """Tokens written anew, each merge of two pieces left out at random; what they say stays the same.

    Raises InputError for a tokenizer that is no byte-level BPE.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerFast"):
        from transformers.convert_slow_tokenizer import bytes_to_unicode

        self.backend = tokenizer.backend_tokenizer
        model = json.loads(self.backend.to_str())["model"]
        vocabulary = self.backend.get_vocab(with_added_tokens=False)
        self.bytes = {symbol: byte for byte, symbol in bytes_to_unicode().items()}
        if model["type"] != "BPE" or not vocabulary.keys() >= self.bytes.keys():
            raise InputError(f"{tokenizer.name_or_path}: bpe_dropout needs a byte-level BPE, not {model['type']}")
        self.ids = {piece: token for piece, token in vocabulary.items() if token not in tokenizer.all_special_ids}
        self.pieces = {token: piece for piece, token in self.ids.items()}
        pairs = (tuple(pair.split(" ")) if isinstance(pair, str) else tuple(pair) for pair in model["merges"])
        self.ranks = {pair: rank for rank, pair in enumerate(pairs)}

    def __call__(self, tokens: Sequence[int], share: float, random: Random) -> list[int]:
        """The tokens with that share of merges left out; special ones stay as they are."""
        found: list[int] = []
        text = ""
        for token in tokens:
            if token in self.pieces:
                text += self.pieces[token]
                continue
            found += self.written(text, share, random)
            found.append(token)
            text = ""
        return found + self.written(text, share, random)

    def written(self, text: str, share: float, random: Random) -> Iterable[int]:
        """A text in the alphabet of bytes as tokens."""
        return [self.ids[piece] for word in self.words(text) for piece in self.merged(word, share, random)]

    def words(self, text: str) -> list[str]:
        """What the pre-tokeniser makes of a text; bytes of a letter that is cut at an end are words of their own."""
        raw = bytes(self.bytes[symbol] for symbol in text)
        begin = next((place for place, byte in enumerate(raw) if byte & 0xC0 != 0x80), len(raw))
        try:
            end, whole = len(raw), raw[begin:].decode("utf-8")
        except UnicodeDecodeError as error:
            end, whole = begin + error.start, raw[begin : begin + error.start].decode("utf-8")
        words = [word for word, _ in self.backend.pre_tokenizer.pre_tokenize_str(whole)]
        if "".join(words) != text[begin:end]:  # a pre-tokeniser that adds something, as a space before the first word
            words = [text[begin:end]]
        return [word for word in (text[:begin], *words, text[end:]) if word]

    def merged(self, word: str, share: float, random: Random) -> list[str]:
        """A word as pieces: of the merges that are possible the first in rank, each left out with probability `share`
        every time it is looked at, until none is left."""
        symbols = list(word)
        while len(symbols) > 1:
            best, at = NEVER, -1
            for place in range(len(symbols) - 1):
                rank = self.ranks.get((symbols[place], symbols[place + 1]), NEVER)
                if rank < best and random.random() >= share:
                    best, at = rank, place
            if at < 0:
                break
            symbols[at : at + 2] = [symbols[at] + symbols[at + 1]]
        return symbols
