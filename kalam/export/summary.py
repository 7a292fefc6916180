"""What a project's exports are worth: `exports.txt`, and a figure of divergence and size."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kalam.files.atomic import atomic_write

EXPLANATION = (
    "Every file was loaded in a fresh process and compared with what it was made from, on held-out text: the token "
    "ids of all of it, and on some of it the mean Kullback-Leibler divergence in nats a token, the share of positions "
    "with the same likeliest token, and bits per byte. A file that fails is not in this table."
)
BOUND = {"color": "#c0392b", "marker": "_", "markersize": 14, "linestyle": "none"}
STYLE = {"svg.hashsalt": "kalam", "font.size": 10, "axes.spines.top": False, "axes.spines.right": False}


def render(project: str, merged: dict[str, dict[str, Any]], files: dict[str, list[dict[str, Any]]]) -> str:
    """The page; by run, `merged` has the `meta.json` of the merged model and `files` the verifications."""
    parts = [f"Exports: project {project}", "\n".join(textwrap.wrap(EXPLANATION, 100))]
    for run, meta in merged.items():
        parts.append("\n".join([f"Run {run}, base {meta['base']}", *_table(meta, files[run])]))
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


def draw(files: dict[str, list[dict[str, Any]]], title: str, output: str | Path) -> None:
    """An SVG of the divergence of each GGUF over its size, a line for each run, on scales of powers of ten."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with pyplot.rc_context(STYLE):
        figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
        for run, verifications in files.items():
            rows = sorted((f for f in verifications if f["kind"] != "adapter"), key=lambda found: found["size"])
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
    return max(found["divergence"], 1e-14)  # none at all has no logarithm
