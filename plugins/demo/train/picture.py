"""Joins the logs of runs that went on from each other, and draws them.

``python picture.py run/first run/second`` writes ``log.csv`` and ``loss.png`` with tokens and seconds counted from the
first run's beginning.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

Row = dict[str, str]
ADDED = ("tokens", "seconds")


def join(runs: Sequence[Path]) -> list[Row]:
    """Return the rows of all logs, each with the number of its run, with tokens and seconds added up."""
    table: list[Row] = []
    before = dict.fromkeys(ADDED, 0)
    for number, run in enumerate(runs, 1):
        with (run / "log.csv").open(encoding="utf-8", newline="") as file:
            rows = [{"run": str(number), **row} for row in csv.DictReader(file)]
        for row in rows:
            row.update({key: str(int(row[key]) + before[key]) for key in ADDED})
        table += rows
        before = {key: int(table[-1][key]) for key in ADDED}
    return table


def draw(table: Sequence[Row], out: Path) -> None:
    """Draw training and validation loss over tokens, a line at the beginning of each run."""
    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    tokens = [int(row["tokens"]) / 1e6 for row in table]
    axes.plot(tokens, [float(row["train_loss"]) for row in table], label="training")
    axes.plot(tokens, [float(row["val_loss"]) for row in table], label="validation")
    for index in range(1, len(table)):
        if table[index]["run"] != table[index - 1]["run"]:
            axes.axvline(tokens[index - 1], color="gray", linestyle=":")
    axes.set(xlabel="tokens (millions)", ylabel="loss (nats per token)", yscale="log", title="demo model")
    axes.grid(True, which="both", alpha=0.3)
    axes.legend()
    figure.savefig(out, dpi=110)
    pyplot.close(figure)


def main() -> None:
    """Join and draw the logs of the runs that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=Path())
    args = parser.parse_args()
    table = join(args.runs)
    with (args.out / "log.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, table[0])
        writer.writeheader()
        writer.writerows(table)
    draw(table, args.out / "loss.png")


if __name__ == "__main__":
    main()
