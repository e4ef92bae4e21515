"""Trains the demo model from nothing, on a CPU, in about an hour.

``python train.py --out ~/demo-hf`` makes up the text, learns the vocabulary, trains, logs and exports. Ctrl-C is
harmless: the last checkpoint stays in the run directory and ``--resume`` goes on from it.
"""

from __future__ import annotations

import argparse
import csv
import math
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from batches import IGNORED, batches
from corpus import documents
from drill import exercises
from export import configuration, export, prime
from picture import draw, join
from tokenizers import Tokenizer
from torch.nn.functional import cross_entropy
from transformers import LlamaForCausalLM
from vocabulary import build

Batch = tuple[torch.Tensor, torch.Tensor]
FIELDS = ("step", "tokens", "seconds", "lr", "train_loss", "val_loss")
TOKENIZER_SEED, TRAIN_SEED, LONG_SEED, VALIDATION_SEED, DRILL_SEED, BRIEF_SEED = 1, 2, 3, 4, 5, 6
DRILL_LENGTH, BRIEF_LENGTH = 128, 192


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="Hugging Face directory to write")
    parser.add_argument("--run", type=Path, default=Path("run"), help="checkpoint, log and picture")
    parser.add_argument("--start", type=Path, help="take tokenizer and weights from this earlier run's directory")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --run")
    parser.add_argument("--tokens", type=float, default=16e6, help="tokens to train on in all")
    parser.add_argument("--long-share", type=float, default=0.1, help="share of them in rows of full context")
    parser.add_argument("--drill-share", type=float, default=0.08, help="share of them for exercises in copying, first")
    parser.add_argument("--brief-share", type=float, default=0.3, help="share for short rows: requests and beginnings")
    parser.add_argument("--length", type=int, default=512, help="tokens a row, before the last phase")
    parser.add_argument("--batch", type=int, default=2048, help="tokens a step")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--hidden", type=int, default=704)
    parser.add_argument("--vocabulary", type=int, default=2560)
    parser.add_argument("--context", type=int, default=2048)
    parser.add_argument("--seed", type=int, default=0, help="of the training text; another for a second run")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--every", type=int, default=250, help="steps between validations and checkpoints")
    parser.add_argument("--compile", action="store_true", help="torch.compile: faster, needs a C++ compiler")
    parser.add_argument("--float32", action="store_true", help="no bfloat16 autocast")
    return parser.parse_args()


class Run:
    """Everything a training run needs between two steps, so that it can be saved."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.step = 0
        self.seconds = 0.0
        path = args.run / "tokenizer.json"
        if args.resume:
            self.tokenizer = Tokenizer.from_file(str(path))
        else:
            args.run.mkdir(parents=True, exist_ok=True)
            earlier = str(args.start / "tokenizer.json") if args.start else ""
            self.tokenizer = Tokenizer.from_file(earlier) if earlier else build(args.vocabulary, TOKENIZER_SEED)
            self.tokenizer.save(str(path))
        config = configuration(self.tokenizer, args.layers, args.width, args.hidden, args.context)
        self.model = LlamaForCausalLM(config)
        prime(self.model)
        if args.start:
            self.model.load_state_dict(torch.load(args.start / "checkpoint.pt", weights_only=True)["model"])
        matrices = [p for p in self.model.parameters() if p.dim() > 1]
        gains = [p for p in self.model.parameters() if p.dim() == 1]
        groups = [{"params": matrices, "weight_decay": 0.1}, {"params": gains, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=args.lr, betas=(0.9, 0.97), fused=True)
        self.steps = int(args.tokens / args.batch)
        self.drill_to = int(self.steps * args.drill_share)
        self.brief_to = self.drill_to + int(self.steps * args.brief_share)
        self.long_from = int(self.steps * (1 - args.long_share))
        self.validation = list(self._take(batches(self.tokenizer, 512, 8, documents(VALIDATION_SEED)), 6))
        if args.resume:
            self._load()

    @staticmethod
    def _take(source: Iterator[Batch], count: int) -> Iterator[Batch]:
        for _ in range(count):
            yield next(source)

    def _load(self) -> None:
        state = torch.load(self.args.run / "checkpoint.pt", weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]

    def save(self) -> None:
        """Write the checkpoint; a half-written one never takes the place of a good one."""
        path = self.args.run / "checkpoint.pt"
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        torch.save({**state, "step": self.step, "seconds": self.seconds}, path.with_suffix(".new"))
        path.with_suffix(".new").replace(path)
        export(self.model, self.tokenizer, self.args.out)

    def data(self) -> Iterator[Batch]:
        """Yield the batches from the current step on: exercises, then stories, then rows of full context."""
        args = self.args
        phases = (
            (self.drill_to, DRILL_LENGTH, exercises(DRILL_SEED + 10 * args.seed)),
            (self.brief_to, BRIEF_LENGTH, documents(BRIEF_SEED + 10 * args.seed)),
            (self.long_from, args.length, documents(TRAIN_SEED + 10 * args.seed)),
            (self.steps, args.context, documents(LONG_SEED + 10 * args.seed, long=True)),
        )
        done = 0
        for until, length, texts in phases:
            source = batches(self.tokenizer, length, max(1, args.batch // length), texts)
            for index in range(done, until):
                batch = next(source)
                if index >= self.step:
                    yield batch
            done = until

    def rate(self) -> float:
        """Return the learning rate of the current step: a short warm-up, then a cosine to a twentieth."""
        warm = min(1.0, (self.step + 1) / 100)
        done = self.step / self.steps
        return float(self.args.lr * warm * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * done))))


def loss_of(model: torch.nn.Module, batch: Batch, float32: bool) -> torch.Tensor:
    """Return the mean loss of a batch."""
    inputs, targets = batch
    with torch.autocast("cpu", torch.bfloat16, enabled=not float32):
        logits = model(input_ids=inputs, use_cache=False).logits
    return cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), ignore_index=IGNORED)


def validate(run: Run) -> float:
    """Return the loss on text of another seed."""
    run.model.eval()
    with torch.no_grad():
        losses = [float(loss_of(run.model, batch, run.args.float32)) for batch in run.validation]
    run.model.train()
    return sum(losses) / len(losses)


def train(run: Run) -> None:
    """Train to the end, with a line in the log for every validation."""
    args = run.args
    model: torch.nn.Module = torch.compile(run.model, dynamic=False) if args.compile else run.model
    log = args.run / "log.csv"
    if not run.step:
        log.write_text(",".join(FIELDS) + "\n", "utf-8")
    start, recent = time.perf_counter() - run.seconds, []
    for batch in run.data():
        for group in run.optimizer.param_groups:
            group["lr"] = run.rate()
        loss = loss_of(model, batch, args.float32)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(run.model.parameters(), 1.0)
        run.optimizer.step()
        run.optimizer.zero_grad()
        recent.append(float(loss.detach()))
        run.step += 1
        if run.step % args.every == 0 or run.step == run.steps:
            run.seconds = time.perf_counter() - start
            row = (run.step, run.step * args.batch, round(run.seconds), f"{run.rate():.6f}",
                   f"{sum(recent) / len(recent):.4f}", f"{validate(run):.4f}")  # fmt: skip
            recent.clear()
            with log.open("a", encoding="utf-8", newline="") as file:
                csv.writer(file).writerow(row)
            print(*(f"{key} {value}" for key, value in zip(FIELDS, row, strict=True)), flush=True)
            run.save()
    draw(join([args.run]), args.run / "loss.png")


def main() -> None:
    """Train by the command line's arguments."""
    args = arguments()
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    run = Run(args)
    print(f"{sum(p.numel() for p in run.model.parameters()):,} parameters, {run.steps} steps", flush=True)
    train(run)


if __name__ == "__main__":
    main()
