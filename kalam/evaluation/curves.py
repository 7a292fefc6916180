"""Training and validation loss over the steps, as a figure."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kalam.files.atomic import atomic_write

STYLE = {
    "svg.hashsalt": "kalam",  # equal runs give equal bytes
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def draw_curves(history: Iterable[dict[str, Any]], title: str, outputs: Iterable[str | Path]) -> None:
    """Draw the loss per token in nats: each step's batch, and the validation split, its best point marked.

    `history` holds the rows of `history.jsonl`; the suffix of each output names its format.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = list(history)
    training = [(row["step"], row["loss"]) for row in rows if "loss" in row]
    validation = [(row["step"], row["validation_loss"]) for row in rows if "validation_loss" in row]
    with pyplot.rc_context(STYLE):
        figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
        axes.plot(*zip(*training, strict=True), color="#9aa7b5", linewidth=0.9, label="training, each batch")
        step, loss = min(validation, key=lambda point: point[1])
        label = f"validation, best {loss:.3f} at step {step}"
        axes.plot(*zip(*validation, strict=True), color="#1f5fa8", linewidth=1.8, marker="o", markersize=4, label=label)
        axes.plot([step], [loss], marker="o", markersize=9, markerfacecolor="none", color="#c0392b", linestyle="none")
        axes.set(xlabel="optimiser step", ylabel="loss, nats per token", title=title)
        axes.legend(frameon=False)
        for output in outputs:
            kind = Path(output).suffix[1:]
            metadata = {"Date": None} if kind == "svg" else {"Software": None}
            with atomic_write(output, "wb") as handle:
                figure.savefig(handle, format=kind, dpi=144, metadata=metadata)
        pyplot.close(figure)
