"""A model with more pieces in its vocabulary, each of which begins as the mean of the old ones it stands for."""

import logging
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kalam.data.selection import texts_by_part, texts_of
from kalam.files.digests import digest_folder
from kalam.files.errors import InputError
from kalam.files.jsonl import read_json, write_json
from kalam.files.tables import write_tsv
from kalam.models.download import weights_and_settings
from kalam.text.tokens import encode_plain, load_tokenizer
from kalam.text.vocabulary import extend

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

logger = logging.getLogger(__name__)


def extend_vocabulary(
    base: str | Path,
    head: str,
    pieces: int,
    rows: Mapping[str, str | Path],
    parts: Collection[str],
    folder: str | Path,
    table: str | Path,
) -> None:
    """Extend the vocabulary of the model in a folder by pieces learnt from some parts of the training split, into
    `folder`; the `table` says how many tokens a byte of the validation split takes before and after."""
    old, new = extend_model(base, texts_of(rows["train"], parts), pieces, head, folder)
    counts = tokens_per_byte({"base": old, "extended": new}, texts_by_part(rows["validation"]))
    write_tsv(table, counts, list(counts[0]))


def extend_model(
    base: str | Path, texts: Iterable[str], pieces: int, model_class: str, folder: str | Path
) -> "tuple[PreTrainedTokenizerFast, PreTrainedTokenizerFast]":
    """Give the model of a folder more pieces, learnt from the texts, and write it to `folder` in the hub's
    layout, `meta.json` last.

    Gives its old tokenizer and the new one. Raises InputError where the texts have no piece to add.
    """
    import transformers

    from kalam.models.scratch import save

    made = read_json(Path(base) / "meta.json")
    old = load_tokenizer(base)
    tokenizer, parts = extend(old, texts, pieces)
    if not parts:
        raise InputError(f"{base}: its tokenizer has every piece that is in the texts twice; nothing to add")
    model = getattr(transformers, model_class).from_pretrained(
        base, dtype="auto", use_safetensors=True, trust_remote_code=made.get("remote_code", False)
    )
    enlarge(model, parts)
    folder, temporary = Path(folder), Path(folder) / ".extended.tmp"
    shutil.rmtree(temporary, ignore_errors=True)  # a kill may have left it
    save(model, tokenizer, temporary)
    names = weights_and_settings(temporary)
    for stale in {*weights_and_settings(folder)} - {*names}:
        (folder / stale).unlink()
    for name in names:
        (temporary / name).replace(folder / name)
    shutil.rmtree(temporary)
    meta = {
        "kind": "extended",
        "base": made["digest"],
        "remote_code": made.get("remote_code", False),
        "added": [min(parts), max(parts) + 1],
    }
    write_json(folder / "meta.json", {**meta, "digest": digest_folder(folder, names)})
    logger.info("%d pieces added to %d", len(parts), len(old))
    return old, load_tokenizer(folder)


def enlarge(model: "PreTrainedModel", parts: dict[int, list[int]]) -> None:
    """Add rows to the embeddings, of input and output, as the means of the rows of old ids."""
    import torch

    wanted = max(parts) + 1
    if wanted > model.get_input_embeddings().weight.shape[0]:  # some models have rows to spare
        model.resize_token_embeddings(wanted, mean_resizing=False)
    with torch.no_grad():
        for weight in vocabulary_weights(model):
            for new, old in parts.items():
                weight[new] = weight[old].float().mean(0).to(weight.dtype)


def vocabulary_weights(model: "PreTrainedModel") -> "Iterator[torch.Tensor]":
    """The weights with a row for each piece, tied ones once."""
    layers = [model.get_input_embeddings(), model.get_output_embeddings()]
    yield from {id(weight): weight for layer in layers for weight in layer.parameters()}.values()


def tokens_per_byte(
    tokenizers: "dict[str, PreTrainedTokenizerFast]", texts: dict[str, list[str]]
) -> list[dict[str, Any]]:
    """A row per register: its bytes, the tokens of each tokenizer, and how many these are per byte."""
    rows = []
    for register, some in texts.items():
        size = sum(len(text.encode("utf-8")) for text in some)
        row: dict[str, Any] = {"register": register, "documents": len(some), "bytes": size}
        for name, tokenizer in tokenizers.items():
            row[f"{name}_tokens"] = sum(len(encode_plain(tokenizer, text)["input_ids"]) for text in some)
            row[f"{name}_tokens_per_byte"] = row[f"{name}_tokens"] / size
        rows.append(row)
    return rows
