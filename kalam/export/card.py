"""The model card of an exported run: `README.md` in its folder."""

from pathlib import Path
from typing import Any

import yaml

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
LIMITS = """\
It repeats what its texts hold, mistakes and prejudices included, and states falsehoods fluently. Figures hold for
held-out text of the same sources. Text in other languages or registers was not what it was adapted to."""


def write_card(
    project: str,
    section: dict[str, Any],
    run: str,
    merged: str | Path,
    statistics: str | Path,
    metrics: str | Path,
    target: str | Path,
) -> None:
    """Write the card of a run, from the files of its merged model's `meta.json`, the corpus statistics and the
    project's metrics; `section` is the project's part of the configuration."""
    text = card(project, section, run, read_json(merged), read_tsv(statistics), read_tsv(metrics))
    with atomic_write(target) as handle:
        handle.write(text)


def card(
    project: str,
    section: dict[str, Any],
    run: str,
    meta: dict[str, Any],
    counts: list[dict[str, str]],
    metrics: list[dict[str, str]],
) -> str:
    """The card in Markdown, with the hub's metadata at its head.

    `meta` is the merged model's `meta.json`; `counts` and `metrics` are the rows of the dataset's statistics and
    of the run's metrics.
    """
    trained, base = section["runs"][run], meta["base"]
    sources = _sources(section, run, base)
    licences = sorted({source["licence"] or "unknown" for source in sources.values()})
    head = {
        "language": [section["language"]],
        "license": licences[0].lower() if len(licences) == 1 and licences[0] != "unknown" else "other",
        "base_model": section["models"][base].get("repository"),
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
    }
    parts = [
        "---\n" + yaml.safe_dump({k: v for k, v in head.items() if v}, sort_keys=False) + "---",
        f"# {project}: {run}",
        f"{_kind(section['models'][base])}, adapted to {', '.join(trained['parts'])}, in {meta['dtype']}.",
        "## Data and licences",
        _table(["source", "register", "licence", "author"], [_source(name, s) for name, s in sources.items()]),
        _table(list(counts[0]), [list(row.values()) for row in counts]) if counts else "",
        f"Weights of the base: {_origin(section['models'][base])}",
        "## Recipe",
        "```yaml\n" + yaml.safe_dump({run: trained}, sort_keys=False).rstrip() + "\n```",
        "## Metrics",
        _table(["register", "model", "bits per byte", "95 % interval"], _scores(metrics)),
        f"Merged weights against base and adapter: KL divergence {meta['figures']['divergence']:.2g} nats a token, "
        f"{meta['figures']['agreement']:.2%} of the likeliest tokens the same.",
        "## Use",
        HOW.format(name=(section["exports"]["repository"] or f"results/{project}/exports/{run}")),
        "## Intended use",
        USE.format(language=section["language"]),
        "## Limits",
        LIMITS,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _sources(section: dict[str, Any], run: str, base: str) -> dict[str, dict[str, Any]]:
    """The sources that the run and its base were trained on."""
    found = {}
    for user in (section["models"][base], section["runs"][run]):
        if "dataset" in user:
            sources = section["datasets"][user["dataset"]]["sources"]
            found |= {name: source for name, source in sources.items() if source["register"] in user["parts"]}
    return found


def _kind(model: dict[str, Any]) -> str:
    return "A small model made from nothing" if model["kind"] == "scratch" else "A pretrained model"


def _origin(model: dict[str, Any]) -> str:
    if model["kind"] == "hub":
        return f"{model['repository']} at {model['revision']}; its licence holds for these weights too."
    return "a local folder." if model["kind"] == "local" else "random, then trained on the texts above."


def _source(name: str, source: dict[str, Any]) -> list[str]:
    return [name, source["register"], source["licence"] or "unknown", source["author"] or "unknown"]


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
