"""The model card that lies in an exported folder."""

from typing import Any

import yaml

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


def card(
    project: str,
    section: dict[str, Any],
    run: str,
    meta: dict[str, Any],
    counts: list[dict[str, str]],
    metrics: list[dict[str, str]],
) -> str:
    """The card in Markdown, with the hub's metadata at its head.

    `section` is the project's part of the configuration, `meta` the merged model's `meta.json`, `counts`
    and `metrics` the rows of the corpus statistics and of the project's metrics.
    """
    trained, base = section["runs"][run], meta["base"]
    sources = {name: s for name, s in section["sources"].items() if s["register"] in _registers(section, run, base)}
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
        f"{_article(section['models'][base])}, adapted to {', '.join(trained['registers'])}, in {meta['dtype']}.",
        "## Data and licences",
        _table(["source", "register", "licence", "author"], [_source(name, s) for name, s in sources.items()]),
        _table(list(counts[0]), [list(row.values()) for row in counts]) if counts else "",
        f"Weights of the base: {_origin(section['models'][base])}",
        "## Recipe",
        "```yaml\n" + yaml.safe_dump({run: trained}, sort_keys=False).rstrip() + "\n```",
        "## Metrics",
        _table(
            ["register", "model", "bits per byte", "95 % interval"],
            [_metric(row) for row in _wanted(metrics, run, base)],
        ),
        f"Merged weights beside base and adapter: KL divergence {meta['figures']['divergence']:.2g} nats a token, "
        f"{meta['figures']['agreement']:.2%} of the likeliest tokens the same.",
        "## Use",
        HOW.format(name=(section["exports"]["repository"] or f"results/{project}/exports/{run}")),
        "## Intended use",
        USE.format(language=section["language"]),
        "## Limits",
        LIMITS,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _registers(section: dict[str, Any], run: str, base: str) -> set[str]:
    return {*section["runs"][run]["registers"], *section["models"][base].get("registers", [])}


def _article(model: dict[str, Any]) -> str:
    return "A small model made from nothing" if model["kind"] == "scratch" else "A pretrained model"


def _origin(model: dict[str, Any]) -> str:
    if model["kind"] == "hub":
        return f"{model['repository']} at {model['revision']}; its licence holds for these weights too."
    return "a local folder." if model["kind"] == "local" else "random, then trained on the texts above."


def _source(name: str, source: dict[str, Any]) -> list[str]:
    return [name, source["register"], source["licence"] or "unknown", source["author"] or "unknown"]


def _wanted(metrics: list[dict[str, str]], run: str, base: str) -> list[dict[str, str]]:
    bits = [row for row in metrics if row["metric"] == "bits_per_byte" and row["split"] == "test"]
    return [row for row in bits if row["run"] == run or (row["model"] == base and not row["run"])]


def _metric(row: dict[str, str]) -> list[str]:
    name = row["model"] if row["model"].startswith("floor") else "this model" if row["run"] else "its base"
    interval = f"[{row['low']}, {row['high']}]" if row["low"] else "-"
    return [row["register"], name, row["value"], interval]


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
