"""The systems of a run, loaded and asked: score rows of models, and a page to look at."""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kalam.data.selection import rows_of
from kalam.files.atomic import atomic_write
from kalam.files.jsonl import read_json, write_jsonl
from kalam.models.bases import base_of_model
from kalam.models.loading import load_adapted, load_base, load_begun
from kalam.text.tokens import load_tokenizer

if TYPE_CHECKING:
    import torch

Files = Mapping[str, str | Path]  # by split


def score_model(
    module: str, meta: str | Path, head: str, settings: dict[str, Any], rows: Files, outputs: Files
) -> None:
    """Write the score rows of a base model, the one whose `meta.json` is given, on each split.

    The function `score` of `module` makes them.
    """
    folder = Path(meta).parent
    model = load_base(base_of_model(folder.name, [meta]), model_class=head)
    _write_scores(module, model, folder, settings, rows, outputs)


def score_run(
    module: str,
    system: str,
    base: str | Path,
    run: str | Path,
    quantisation: str,
    head: str,
    settings: dict[str, Any],
    rows: Files,
    outputs: Files,
) -> None:
    """Write the score rows of a run's system (`base` or `adapted`) on each split.

    The function `score` of `module` makes them; `base` is the run's `base.json`, `run` its `meta.json`.
    """
    begun = read_json(base)
    model = loaders(begun, run, quantisation, head)[system]()
    _write_scores(module, model, begun["folder"], settings, rows, outputs)


def page_of_run(
    module: str,
    title: str,
    language: str,
    base: str | Path,
    run: str | Path,
    quantisation: str,
    head: str,
    rows: Files,
    parts: Collection[str],
    settings: dict[str, Any],
    output: str | Path,
) -> None:
    """Write a run's page: what its systems make of held-out rows, as the function `page` of `module` shows that."""
    begun = read_json(base)
    chosen = {split: rows_of(path, parts) for split, path in rows.items()}
    load = loaders(begun, run, quantisation, head)
    page = import_module(module).page(title, language, load, load_tokenizer(begun["folder"]), chosen, **settings)
    with atomic_write(output) as handle:
        handle.write(page)


def loaders(
    base: dict[str, Any], run: str | Path, quantisation: str, head: str
) -> dict[str, Callable[[], "torch.nn.Module"]]:
    """What loads each system of a run, by its role; each holds memory only once it is called."""
    options = {"quantisation": quantisation, "model_class": head}
    return {
        "base": partial(load_begun, base, **options),
        "adapted": partial(load_adapted, base, run=Path(run).parent, **options),
    }


def _write_scores(
    module: str, model: "torch.nn.Module", folder: str | Path, settings: dict[str, Any], rows: Files, outputs: Files
) -> None:
    tokenizer, score = load_tokenizer(folder), import_module(module).score
    for split, path in rows.items():
        write_jsonl(outputs[split], score(model, tokenizer, rows_of(path), **settings))
