"""The model card of an exported run: `README.md` in its folder."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from kalam.configuration.project import runs_before
from kalam.export.licences import UNKNOWN, Use, head, models_behind, uses
from kalam.files.atomic import atomic_write
from kalam.files.jsonl import read_json
from kalam.files.tables import read_tsv

HOW = """\
```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{name}")
model = AutoModelForCausalLM.from_pretrained("{name}")
```"""
USE = """\
Continuing text of the registers it was trained on, and research on {language}. It follows no instructions
unless its base does, and was tested for nothing but the figures above."""
HEADING, ANCHOR = "Data and licences", "data-and-licences"
LIMITS = """\
It repeats what its texts hold, mistakes and prejudices included, and states falsehoods fluently. Figures hold for
held-out text of the same sources. Text in other languages or registers was not what it was adapted to."""


def write_card(
    project: str,
    section: dict[str, Any],
    run: str,
    merged: str | Path,
    models: Iterable[str | Path],
    train: Mapping[str, str | Path],
    statistics: str | Path,
    metrics: str | Path,
    target: str | Path,
) -> None:
    """Write the card of a run, from the files of its merged model's `meta.json`, those of the `models` that it may
    have begun with, the training splits by dataset, the corpus statistics and the run's metrics; `section` is the
    project's part of the configuration."""
    meta = read_json(merged)
    origins = {Path(file).parent.name: read_json(file) for file in models}
    found = uses(section, run, meta["base"], train)
    text = card(project, section, run, meta, origins, found, read_tsv(statistics), read_tsv(metrics))
    with atomic_write(target) as handle:
        handle.write(text)


def card(
    project: str,
    section: dict[str, Any],
    run: str,
    meta: dict[str, Any],
    origins: Mapping[str, dict[str, Any]],
    found: Sequence[Use],
    counts: list[dict[str, str]],
    metrics: list[dict[str, str]],
) -> str:
    """The card in Markdown, with the hub's metadata at its head.

    `meta` is the merged model's `meta.json`, `origins` those of base models by name; `found` are the texts that went
    into it; `counts` and `metrics` are the rows of the dataset's statistics and of the run's metrics.
    """
    trained, first = section["runs"][run], models_behind(section["models"], meta["base"])[0]
    weights = None if section["models"][first]["kind"] == "scratch" else origins[first].get("licence") or UNKNOWN
    repository = section["exports"]["repository"]
    page = f"https://huggingface.co/{repository}#{ANCHOR}" if repository else f"README.md#{ANCHOR}"
    front = {
        "language": [section["language"]],
        **head(weights, {licence for use in found for licence in use.licences}, page),
        "base_model": section["models"][first].get("repository"),
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
    }
    parts = [
        "---\n" + yaml.safe_dump({k: v for k, v in front.items() if v}, sort_keys=False) + "---",
        f"# {project}: {run}",
        f"{_kind(section['models'][first])}{_adaptations(section, run)}, in {meta['dtype']}.",
        f"## {HEADING}",
        f"Weights of the base: {_origin(section, meta['base'], weights)}",
        _table(["read by", "source", "register", "licence", "author"], [_source(use) for use in found]),
        _table(list(counts[0]), [list(row.values()) for row in counts]) if counts else "",
        "## Recipe",
        "```yaml\n" + yaml.safe_dump({run: trained}, sort_keys=False).rstrip() + "\n```",
        "## Metrics",
        _table(["register", "model", "bits per byte", "95 % interval"], _scores(metrics)),
        f"Merged weights against base and adapter: KL divergence {meta['figures']['divergence']:.2g} nats a token, "
        f"{meta['figures']['agreement']:.2%} of the likeliest tokens the same.",
        "## Use",
        HOW.format(name=(repository or f"results/{project}/exports/{run}")),
        "## Intended use",
        USE.format(language=section["language"]),
        "## Limits",
        LIMITS,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _kind(model: dict[str, Any]) -> str:
    return "A small model made from nothing" if model["kind"] == "scratch" else "A pretrained model"


def _adaptations(section: dict[str, Any], run: str) -> str:
    """What was made of the base, run after run."""
    *before, last = [*reversed(runs_before(section["runs"], run)), run]
    parts = {name: ", ".join(section["runs"][name]["parts"]) for name in (*before, last)}
    first = "".join(f", first adapted to {parts[name]} (run {name})" for name in before)
    return f"{first}, {'then ' if before else ''}adapted to {parts[last]}"


def _origin(section: dict[str, Any], name: str, licence: str | None) -> str:
    first, *extensions = (section["models"][each] for each in models_behind(section["models"], name))
    if first["kind"] == "hub":
        origin = f"{first['repository']} at {first['revision']}, whose licence ({licence}) holds for these weights too"
    elif first["kind"] == "local":
        origin = f"a local folder; its licence ({licence}) holds for these weights too"
    else:
        origin = "random, then trained on the texts below"
    return origin + ("; its vocabulary was extended by pieces of the texts below." if extensions else ".")


def _source(use: Use) -> list[str]:
    return [use.by, use.name, use.source["register"], ", ".join(use.licences), use.source["author"] or UNKNOWN]


def _scores(metrics: list[dict[str, str]]) -> list[list[str]]:
    """Register, model, bits per byte and interval of the run, its floors and its base, on the test split.

    The only function here that knows the columns of metric rows.
    """
    names = {"floor_base": "floor_base", "floor": "floor", "base": "its base", "adapted": "this model"}
    scores = []
    for row in metrics:
        if row["metric"] == "bits_per_byte" and row["split"] == "test" and row["role"] in names:
            interval = f"[{row['low']}, {row['high']}]" if row["low"] else "-"
            scores.append([row["part"], names[row["role"]], row["value"], interval])
    return scores


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
