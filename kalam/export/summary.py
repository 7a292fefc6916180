"""A project's exports compared with what they were made from: `exports.txt`, and a figure of divergence and size."""

import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from kalam.files.atomic import atomic_write
from kalam.files.jsonl import read_json

EXPLANATION = (
    "Every file was loaded in a fresh process and compared with what it was made from, on held-out text: the token "
    "ids of all of it, and on some of it the mean Kullback-Leibler divergence in nats a token, the share of positions "
    "with the same likeliest token, and bits per byte. A file that fails is not in this table."
)
BOUND = {"color": "#c0392b", "marker": "_", "markersize": 14, "linestyle": "none"}
STYLE = {"svg.hashsalt": "kalam", "font.size": 10, "axes.spines.top": False, "axes.spines.right": False}


def write_summary(
    project: str,
    merged: Iterable[str | Path],
    verifications: Iterable[str | Path],
    text_target: str | Path,
    svg_target: str | Path,
) -> str:
    """Write the page and the figure from the `meta.json` of merged models and the verifications of GGUF files, each
    of which says of which run it is; gives the page."""
    models, files = ([read_json(file) for file in some] for some in (merged, verifications))
    text = render(project, models, files)
    with atomic_write(text_target) as handle:
        handle.write(text)
    draw(files, project, svg_target)
    return text


def render(project: str, models: Sequence[dict[str, Any]], files: Sequence[dict[str, Any]]) -> str:
    """The page, of merged models' `meta.json` and verifications, run by run in the order of the models."""
    parts = [f"Exports: project {project}", "\n".join(textwrap.wrap(EXPLANATION, 100))]
    for model in models:
        of_run = [file for file in files if file["run"] == model["run"]]
        parts.append("\n".join([f"Run {model['run']}, base {model['base']}", *_table(model, of_run)]))
    return "\n\n".join(parts) + "\n"


def _table(meta: dict[str, Any], verifications: Sequence[dict[str, Any]]) -> list[str]:
    head = ("", "size, MB", "divergence", "allowed", "same token", "allowed", "bits/byte", "original", "load, s")
    rows = [head, _row(f"merged, {meta['dtype']}", meta["figures"])]
    rows += [_row(found["file"], found) for found in verifications]
    width = max(len(row[0]) for row in rows)
    return ["  ".join([row[0].ljust(width), *(cell.rjust(10) for cell in row[1:])]).rstrip() for row in rows]


def _row(name: str, found: dict[str, Any]) -> tuple[str, ...]:
    size, load = found.get("size"), found.get("load_seconds")
    return (
        name,
        "-" if size is None else f"{size / 1e6:,.1f}",
        f"{found['divergence']:.2g}",
        f"{found['bound']['divergence']:g}",
        f"{found['agreement']:.2%}",
        f"{found['bound']['agreement']:.1%}",
        f"{found['bits_per_byte']:.4f}",
        f"{found['original_bits_per_byte']:.4f}",
        "-" if load is None else f"{load:.1f}",
    )


def draw(files: Sequence[dict[str, Any]], title: str, output: str | Path) -> None:
    """An SVG of the divergence of each GGUF over its size, a line for each run, on logarithmic scales."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with pyplot.rc_context(STYLE):
        figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
        for run in dict.fromkeys(file["run"] for file in files):
            of_run = [file for file in files if file["run"] == run and file["kind"] != "adapter"]
            rows = sorted(of_run, key=lambda found: found["size"])
            sizes = [found["size"] / 1e6 for found in rows]
            axes.plot(sizes, [_shown(found) for found in rows], marker="o", linewidth=1, label=run)
            axes.plot(sizes, [found["bound"]["divergence"] for found in rows], **BOUND)
            for found, size in zip(rows, sizes, strict=True):
                note = f"{found['kind']}, {found['agreement']:.1%}"
                axes.annotate(note, (size, _shown(found)), textcoords="offset points", xytext=(7, 5))
        axes.plot([], [], label="allowed", **BOUND)
        axes.set(xlabel="size, MB", ylabel="KL divergence, nats a token", title=title, xscale="log", yscale="log")
        for formatted in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
            formatted("{x:g}")
        axes.margins(x=0.2, y=0.1)
        axes.legend(frameon=False)
        with atomic_write(output, "wb") as handle:
            figure.savefig(handle, format="svg", metadata={"Date": None})
        pyplot.close(figure)


def _shown(found: dict[str, Any]) -> float:
    return max(found["divergence"], 1e-14)  # zero has no logarithm
