"""Tokenizers: trained here, loaded by the one function that proves which one it got."""

import copy
import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from itertools import chain
from math import log
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kalam.files.errors import InputError, first_line
from kalam.text.batches import batches

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer
    from transformers import BatchEncoding, PreTrainedTokenizerFast

# Qwen3.5's pre-tokeniser: marks stay with their letters (GPT-2's and Qwen2's cut every vowel
# sign off), and llama.cpp knows it by name, so a model with it can be exported.
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}|"
    r" ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
IGNORED = -100  # a label that has no weight, for torch and transformers too
BATCH = 1 << 18  # characters that are cut at once: enough for every thread, and little beside the libraries
AROUND = 1 << 10  # characters on either side of a cut that show whether it is one between words
UNSEEN = 0.5  # what a piece counts that no cut has
BOS, EOS, PAD, UNKNOWN, MASK = "<s>", "</s>", "<pad>", "<unk>", "<mask>"
# The first pieces of a tokenizer that is trained here, by its kind; a piece's place is its id.
FIRST_PIECES = {"bytes": (BOS, EOS, PAD), "unigram": (BOS, PAD, EOS, UNKNOWN, MASK)}
# What loading leaves in a tokenizer's settings: how it was found, not what it is. With HF_HUB_OFFLINE it differs.
FROM_ENVIRONMENT = ("is_local", "local_files_only")
PROBE = "র‍্যাব বৃষ্টি পড়ে; তোমার নয়ন।\nஅன்பும் க்ஷ 12 \t كِتَابٌ می‌روم, don't ক্ ়\n\n  x"


def train_tokenizer(texts: Iterable[str], vocabulary: int, kind: str = "bytes") -> "PreTrainedTokenizerFast":
    """A tokenizer of at most `vocabulary` pieces, special tokens included, that puts BOS before a text.

    `bytes` is a byte-level BPE: 256 bytes and merges; it loses nothing and knows no unknown token.
    `unigram` is SentencePiece's Unigram (Kudo 2018) with XLM-RoBERTa's special tokens, for masked
    models: its pieces are whole characters; what its texts did not have is unknown to it. It goes
    through the texts twice.
    """
    from transformers import PreTrainedTokenizerFast

    tokenizer, special = {"bytes": _byte_level, "unigram": _unigram}[kind](texts, vocabulary)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, clean_up_tokenization_spaces=False, **special)


def _byte_level(texts: Iterable[str], vocabulary: int):
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(FIRST_PIECES["bytes"]),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = _after_bos(tokenizer)
    return tokenizer, {"bos_token": BOS, "eos_token": EOS, "pad_token": PAD}


def _unigram(texts: Iterable[str], vocabulary: int):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.Unigram())
    # A line is cut like a space, and is one again when read; masked models see it so in XLM-RoBERTa too.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    )
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    first = list(FIRST_PIECES["unigram"])
    trainer = trainers.UnigramTrainer(
        vocab_size=vocabulary,
        special_tokens=first,
        unk_token=UNKNOWN,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    pieces = [(token, 0.0) for token in first] + counted(tokenizer, texts, {*first})
    tokenizer.model = models.Unigram(pieces, unk_id=first.index(UNKNOWN))
    tokenizer.post_processor = _after_bos(tokenizer)
    special = {"bos_token": BOS, "eos_token": EOS, "pad_token": PAD, "unk_token": UNKNOWN, "mask_token": MASK}
    return tokenizer, special


def counted(tokenizer: "Tokenizer", texts: Iterable[str], without: Collection[str] = ()) -> list[tuple[str, float]]:
    """The pieces of a Unigram tokenizer with the logarithms of their shares of the texts, the commonest first.

    One more step of its training, by the likeliest cut (Viterbi): the trainer's own scores differ in their last
    digits from run to run, and the order of the pieces with them.
    """
    found = Counter(number for text in texts for number in tokenizer.encode(text, add_special_tokens=False).ids)
    shares = {piece: found[number] + UNSEEN for piece, number in tokenizer.get_vocab().items() if piece not in without}
    total = sum(shares.values())
    return sorted(((piece, log(share / total)) for piece, share in shares.items()), key=lambda p: (-p[1], p[0]))


def _after_bos(tokenizer):
    from tokenizers import processors

    return processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
    )


def load_tokenizer(folder: str | Path) -> "PreTrainedTokenizerFast":
    """The tokenizer of a model folder, proved to be the one in its `tokenizer.json`.

    AutoTokenizer chooses by `model_type` and silently replaces the pre-tokeniser of, say, a
    Qwen2 folder; this loads the file itself and compares pre-tokeniser and probe ids.
    A folder without `tokenizer.json` is converted by AutoTokenizer.

    Raises InputError where the loaded tokenizer is another one, and where there is none that can be loaded.
    """
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    file = Path(folder) / "tokenizer.json"
    try:
        if not file.exists():
            return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, trust_remote_code=False)
        trained = Tokenizer.from_file(str(file))
    except Exception as error:  # tokenizers raises nothing narrower
        raise InputError(f"{folder}: its tokenizer cannot be loaded: {first_line(error)}") from None
    require_same_tokenizer(tokenizer.backend_tokenizer, trained, file)
    return tokenizer


def save_tokenizer(tokenizer: "PreTrainedTokenizerFast", folder: str | Path) -> None:
    """Write a tokenizer in the hub's layout: the same bytes from wherever, and however, it was loaded."""
    plain = copy.copy(tokenizer)
    plain.init_kwargs = {key: value for key, value in tokenizer.init_kwargs.items() if key not in FROM_ENVIRONMENT}
    plain.save_pretrained(folder)


def require_same_tokenizer(loaded, trained, name: str | Path) -> None:
    """Raise InputError unless both cut text alike: same pre-tokeniser, same ids of the probe text."""
    if json.loads(loaded.to_str())["pre_tokenizer"] != json.loads(trained.to_str())["pre_tokenizer"]:
        raise InputError(f"{name}: the loaded tokenizer has another pre-tokeniser than the file")
    if loaded.encode(PROBE).ids != trained.encode(PROBE).ids:
        raise InputError(f"{name}: the loaded tokenizer gives other ids than the file")


def prefix_token(tokenizer: "PreTrainedTokenizerFast") -> int:
    """The token that stands before a document: BOS, else EOS. Raises InputError where there is neither."""
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token is not None:
            return token
    raise InputError(f"{tokenizer.name_or_path}: a tokenizer needs a BOS or an EOS token")


def encode_documents(tokenizer: "PreTrainedTokenizerFast", texts: Iterable[str]) -> Iterator[list[int]]:
    """Token ids of each document, between the prefix token and EOS (where the tokenizer has one), as the texts come.

    Holds a batch of them.
    """
    before, after = _around(tokenizer)
    for batch in batches(texts, BATCH):
        if tokenizer.is_fast:
            found = (_ids(parts) for parts in _encoded(tokenizer, batch, "encode_batch_fast"))
        else:
            found = encode_plain(tokenizer, batch)["input_ids"]
        for ids in found:
            yield before + ids + after


def encode_words(tokenizer: "PreTrainedTokenizerFast", texts: Iterable[str]) -> Iterator[tuple[list[int], list[bool]]]:
    """As encode_documents, and beside it which tokens begin a word, as the pre-tokeniser cuts words."""
    before, after = _around(tokenizer)
    for batch in batches(texts, BATCH):
        for parts in _encoded(tokenizer, batch, "encode_batch"):
            ids, starts = [*before], [True] * len(before)
            for encoding in parts:
                words = encoding.word_ids
                ids += encoding.ids
                starts += [word is None or word != last for last, word in zip([None, *words], words, strict=False)]
            yield ids + after, [*starts, *[True] * len(after)]


def encode_ids(tokenizer: "PreTrainedTokenizerFast", text: str) -> list[int]:
    """The ids of `encode_plain`."""
    if not tokenizer.is_fast:
        return encode_plain(tokenizer, text)["input_ids"]
    (parts,) = _encoded(tokenizer, [text], "encode_batch_fast")
    return _ids(parts)


def encode_places(tokenizer: "PreTrainedTokenizerFast", text: str) -> Iterator[tuple[int, int]]:
    """The id of each token, and the character that it begins at."""
    for begin, piece in pieces(tokenizer, text):
        encoding = _plain_backend(tokenizer).encode(piece, add_special_tokens=False)
        yield from ((number, begin + first) for number, (first, _) in zip(encoding.ids, encoding.offsets, strict=True))


def _encoded(tokenizer: "PreTrainedTokenizerFast", batch: list[str], way: str) -> "Iterator[Iterable[Encoding]]":
    """What the library's own tokenizer makes of each text, in one part or, of a long one, in several."""
    encode = getattr(_plain_backend(tokenizer), way)
    if max(map(len, batch)) <= BATCH:
        yield from ([encoding] for encoding in encode(batch, False, False))
        return
    for text in batch:
        yield (encode([piece], False, False)[0] for _, piece in pieces(tokenizer, text))


def _ids(parts: "Iterable[Encoding]") -> list[int]:
    return list(chain.from_iterable(encoding.ids for encoding in parts))


def pieces(tokenizer: "PreTrainedTokenizerFast", text: str) -> Iterator[tuple[int, str]]:
    """A text in pieces whose tokens are those of the text, each with the character that it begins at.

    Only one longer than a batch is cut, since the library takes a hundred times the bytes of what it encodes at once;
    and only between two words, where the text around the cut has the same tokens, places and words with it as
    without: a model finds the tokens of each word alone.
    """
    begin = 0
    while len(text) - begin > BATCH:
        end = next((place for place in _ends(text, begin) if _is_between_words(tokenizer, text, place)), None)
        if end is None:
            break
        yield begin, text[begin:end]
        begin = end
    yield begin, text[begin:]


def _ends(text: str, begin: int) -> Iterator[int]:
    for sign in ("\n", " "):
        place = text.rfind(sign, begin + AROUND, begin + BATCH)
        if place > 0:
            yield from (place + 1, place)


def _is_between_words(tokenizer: "PreTrainedTokenizerFast", text: str, place: int) -> bool:
    backend = _plain_backend(tokenizer)
    begin = place - AROUND
    some = (text[begin : place + AROUND], text[begin:place], text[place : place + AROUND])
    whole, left, right = (backend.encode(each, add_special_tokens=False) for each in some)
    places = left.offsets + [(AROUND + first, AROUND + last) for first, last in right.offsets]
    at, words = len(left.ids), whole.word_ids
    apart = 0 < at < len(words) and words[at - 1] != words[at]
    return apart and whole.ids == left.ids + right.ids and whole.offsets == places


def _around(tokenizer: "PreTrainedTokenizerFast") -> tuple[list[int], list[int]]:
    after = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    return [prefix_token(tokenizer)], after


def _plain_backend(tokenizer: "PreTrainedTokenizerFast") -> "Tokenizer":
    """The library's own tokenizer, set as `encode_plain` sets it with every call; that one keeps a dozen
    lists of what it finds, this keeps the ids."""
    backend = tokenizer.backend_tokenizer
    backend.no_padding()
    backend.no_truncation()
    backend.encode_special_tokens = True
    return backend


def encode_plain(tokenizer: "PreTrainedTokenizerFast", text: str | list[str], **options: Any) -> "BatchEncoding":
    """The tokenizer's encoding of the text and nothing but it: no special token is added, and a
    `</s>` that somebody wrote is five characters, not the end of the document."""
    return tokenizer(text, add_special_tokens=False, split_special_tokens=True, **options)
