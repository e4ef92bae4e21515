"""Draws the training log."""

from __future__ import annotations

import csv
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot


def draw(log: Path, out: Path) -> None:
    """Draw training and validation loss over tokens from `log` to `out`."""
    with log.open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    tokens = [int(row["tokens"]) / 1e6 for row in table]
    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    axes.plot(tokens, [float(row["train_loss"]) for row in table], label="training")
    axes.plot(tokens, [float(row["val_loss"]) for row in table], label="validation")
    axes.set(xlabel="tokens (millions)", ylabel="loss (nats per token)", yscale="log", title="demo model")
    axes.grid(True, which="both", alpha=0.3)
    axes.legend()
    figure.savefig(out, dpi=110)
    pyplot.close(figure)
