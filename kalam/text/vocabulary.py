"""More pieces for a tokenizer, for a script that it cuts into crumbs."""

import copy
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from kalam.files.errors import InputError
from kalam.text.tokens import counted

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer
    from transformers import PreTrainedTokenizerFast

MIN_FREQUENCY = 2
FIRST = 0xF0000  # the private use planes: a character for each old piece that the texts have
SPACE = "▁"
BYTE = re.compile(r"<0x[0-9A-F]{2}>")
NEVER = -100.0  # the log-probability of a piece that is only there to keep the ids of those after it


def extend(
    tokenizer: "PreTrainedTokenizerFast", texts: Iterable[str], pieces: int
) -> "tuple[PreTrainedTokenizerFast, dict[int, list[int]]]":
    """The tokenizer with at most `pieces` more pieces after its own, learnt from the texts, which are gone through
    several times.

    Gives also, for each new id, the old ids it stands for. A BPE goes on merging where its training
    ended, so every old merge is done as before; a Unigram model gets the likeliest pieces of one
    trained on the texts. Raises InputError for other kinds of tokenizer.
    """
    from tokenizers import Tokenizer

    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_truncation()
    backend.no_padding()
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    kind = state["model"]["type"]
    if kind not in ("BPE", "Unigram"):
        raise InputError(f"{tokenizer.name_or_path}: a {kind} tokenizer; allowed are BPE and Unigram")
    for key in ("continuing_subword_prefix", "end_of_word_suffix"):
        if found := state["model"].get(key):
            raise InputError(f"{tokenizer.name_or_path}: a BPE with {key} {found}; allowed is one without")
    keep_ids(state)
    parts = {"BPE": _more_merges, "Unigram": _more_unigrams}[kind](state, backend, texts, pieces)
    extended = copy.deepcopy(tokenizer)
    extended._tokenizer = Tokenizer.from_str(json.dumps(state))
    return extended, parts


def keep_ids(state: dict[str, Any]) -> None:
    """Put added tokens whose ids come after the vocabulary into it: else they would move to after what is added."""
    model, vocabulary = state["model"], state["model"]["vocab"]
    if model["type"] == "BPE":
        vocabulary |= {token["content"]: token["id"] for token in state["added_tokens"]}
        return
    later = {token["id"]: token["content"] for token in state["added_tokens"] if token["id"] >= len(vocabulary)}
    for number in range(len(vocabulary), max(later, default=-1) + 1):
        vocabulary.append([later.get(number, f"<unused {number}>"), NEVER])


def _more_merges(
    state: dict[str, Any], backend: "Tokenizer", texts: Iterable[str], pieces: int
) -> dict[int, list[int]]:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    # Each old piece is a character, so that training on what the tokenizer makes of the texts goes on with its merges.
    crumbs = {state["model"]["vocab"].get(state["model"]["unk_token"])}
    byte_level = _is_byte_level(state)

    def words() -> Iterator[Iterator[list[int]]]:
        return (_words(backend.encode(text, add_special_tokens=False), byte_level, crumbs) for text in texts)

    alphabet = sorted({number for some in words() for word in some for number in word})
    letters = {number: chr(FIRST + place) for place, number in enumerate(alphabet)}
    lines = (" ".join("".join(letters[number] for number in word) for word in some) for some in words())
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.BpeTrainer(vocab_size=len(alphabet) + pieces, min_frequency=MIN_FREQUENCY, show_progress=False)
    trained.train_from_iterator(lines, trainer)
    vocabulary, merges = state["model"]["vocab"], state["model"]["merges"]
    pieces_of = {number: piece for piece, number in vocabulary.items()}
    following = max(vocabulary.values()) + 1
    parts: dict[int, list[int]] = {}
    for left, right in json.loads(trained.to_str())["model"]["merges"]:
        old = [[alphabet[ord(letter) - FIRST] for letter in side] for side in (left, right)]
        names = ["".join(pieces_of[number] for number in side) for side in old]
        merges.append(names)
        if "".join(names) not in vocabulary:
            vocabulary["".join(names)] = following
            parts[following] = old[0] + old[1]
            following += 1
    return parts


def _words(encoding: "Encoding", byte_level: bool, crumbs: set[int]) -> Iterator[list[int]]:
    """A text's tokens, word by word: nothing is to be merged across the border of two words.

    Where pieces are characters there are borders before a space too, as SentencePiece's BPE has no words
    of its own, and around what has no letter or mark, is the byte of an unknown character or one of `crumbs`.
    """
    word, before = [], None
    for number, piece, place in zip(encoding.ids, encoding.tokens, encoding.word_ids, strict=True):
        alone = number in crumbs or (not byte_level and not _has_letter(piece))
        if word and (alone or place != before or (not byte_level and piece.startswith(SPACE))):
            yield word
            word = []
        if not alone:
            word.append(number)
        before = place
    if word:
        yield word


def _is_byte_level(state: dict[str, Any]) -> bool:
    return '"ByteLevel"' in json.dumps([state["pre_tokenizer"], state["normalizer"]])


def _has_letter(piece: str) -> bool:
    return not BYTE.fullmatch(piece) and any(unicodedata.category(character)[0] in "LM" for character in piece)


def _more_unigrams(
    state: dict[str, Any], backend: "Tokenizer", texts: Iterable[str], pieces: int
) -> dict[int, list[int]]:
    from tokenizers import Tokenizer, models, trainers

    trained = Tokenizer(models.Unigram())
    trained.normalizer, trained.pre_tokenizer = backend.normalizer, backend.pre_tokenizer
    vocabulary = state["model"]["vocab"]
    known = {piece for piece, _ in vocabulary}
    alphabet = {character for text in texts for character in text}
    # Many of its pieces are known already; asked for twice as many, it has enough others.
    trainer = trainers.UnigramTrainer(vocab_size=2 * pieces + len(alphabet), show_progress=False)
    trained.train_from_iterator(texts, trainer)
    new = [(piece, score) for piece, score in counted(trained, texts) if piece not in known][:pieces]
    parts = {
        len(vocabulary) + place: [t.id for t in backend.model.tokenize(piece)] for place, (piece, _) in enumerate(new)
    }
    vocabulary.extend([piece, score] for piece, score in new)
    return parts
