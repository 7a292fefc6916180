"""A model with more pieces in its vocabulary, each of which begins as the mean of the old ones it stands for."""

import logging
import shutil
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kalam.data.selection import rows_of, texts_of
from kalam.files.atomic import atomic_directory
from kalam.files.digests import digest_folder
from kalam.files.errors import InputError
from kalam.files.jsonl import read_json, write_json
from kalam.files.tables import write_tsv
from kalam.models.download import weights_and_settings
from kalam.models.loading import from_folder
from kalam.text.tokens import encode_ids, load_tokenizer
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
    counts = tokens_per_byte({"base": old, "extended": new}, rows_of(rows["validation"]))
    write_tsv(table, counts, list(counts[0]))


def extend_model(
    base: str | Path, texts: Iterable[str], pieces: int, model_class: str, folder: str | Path
) -> "tuple[PreTrainedTokenizerFast, PreTrainedTokenizerFast]":
    """Give the model of a folder more pieces, learnt from the texts, and write it to `folder` in the hub's
    layout, `meta.json` last.

    Gives its old tokenizer and the new one. Raises InputError where the texts have no piece to add.
    """
    from kalam.models.scratch import save

    made = read_json(Path(base) / "meta.json")
    old = load_tokenizer(base)
    tokenizer, parts = extend(old, texts, pieces)
    if not parts:
        raise InputError(f"{base}: its tokenizer has every piece that is in the texts twice; nothing to add")
    model = from_folder(base, model_class, made.get("remote_code", False), dtype="auto")
    enlarge(model, parts)
    folder = Path(folder)
    made_here = folder / ".extended"
    with atomic_directory(made_here) as temporary:
        save(model, tokenizer, temporary)
    names = weights_and_settings(made_here)
    for stale in {*weights_and_settings(folder)} - {*names}:
        (folder / stale).unlink()
    for name in names:
        (made_here / name).replace(folder / name)
    shutil.rmtree(made_here)
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
    tokenizers: "dict[str, PreTrainedTokenizerFast]", documents: Iterable[dict[str, Any]]
) -> list[dict[str, Any]]:
    """A row per register: its documents and bytes, the tokens of each tokenizer, and how many these are per byte."""
    found: dict[str, Counter[str]] = {}
    for document in documents:
        text, figures = document["text"], found.setdefault(document["register"], Counter())
        figures.update(documents=1, bytes=len(text.encode("utf-8")))
        figures.update({name: len(encode_ids(each, text)) for name, each in tokenizers.items()})
    rows = []
    for register, figures in found.items():
        row: dict[str, Any] = {"register": register, "documents": figures["documents"], "bytes": figures["bytes"]}
        for name in tokenizers:
            row[f"{name}_tokens"] = figures[name]
            row[f"{name}_tokens_per_byte"] = figures[name] / figures["bytes"]
        rows.append(row)
    return rows
