"""Prints what a trained model writes, and counts how often it keeps to its subject.

``python sample.py ~/demo-hf`` prints samples; ``--score`` asks for a story about many things and counts. The prompts
of `UNSEEN` name things that the training text never names.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from random import Random

import nouns
import torch
from cast import GROUPS
from corpus import ASSISTANT, BOS, END, USER
from grammar import article
from transformers import AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast

PROMPTS = (
    "Tell me a story about a fox",
    "Tell me a story about a fox and a lantern.",
    "Tell me a story about a brave girl who finds a map.",
    "write a short story about a robot",
    "Can you tell me a story about a dragon named Ember?",
    "I want to hear a bedtime story about two penguins.",
    "a story about friendship",
    "Tell me a story about an octopus who is afraid of the dark.",
    "tell me a story about a helicopter",
    "Tell me a story.",
    "Tell me a story about a platypus",
    "Hello!",
    "What is your name?",
    "What is the capital of France?",
)
UNSEEN = (
    "platypus", "lynx", "ocelot", "narwhal", "mongoose", "barber", "plumber", "sphinx", "cactus", "forklift", "koi",
    "kingfisher", "wolverine", "minotaur", "tractor driver", "banshee", "mailman", "cello", "hamburger", "volcano",
    "wasp", "centaur", "skeleton", "beagle", "husky", "mayor", "lawyer", "vulture", "cobra", "gargoyle",
)  # fmt: skip


def wrap(turns: Sequence[str]) -> str:
    """Write a conversation, the user's turns and the model's in turn, up to where the model goes on."""
    text = BOS
    for index, turn in enumerate(turns):
        text += (ASSISTANT if index % 2 else USER) + turn + END
    return text + ASSISTANT


class Sampler:
    """A model that continues many texts at once."""

    def __init__(self, path: Path) -> None:
        self.model = LlamaForCausalLM.from_pretrained(path).eval()
        self.tokenizer: PreTrainedTokenizerFast = AutoTokenizer.from_pretrained(path, padding_side="left")

    def __call__(self, texts: Sequence[str], temperature: float = 0.0, limit: int = 480) -> list[tuple[str, bool]]:
        """Return each continuation, and whether it came to its end."""
        inputs = self.tokenizer(list(texts), return_tensors="pt", padding=True, add_special_tokens=False)
        inputs.pop("token_type_ids", None)
        warm = {"do_sample": True, "temperature": temperature, "top_p": 1.0, "top_k": 0}
        cold = {"do_sample": False, "temperature": None, "top_p": None}
        with torch.no_grad():
            out = self.model.generate(
                **inputs, max_new_tokens=limit, max_length=None, **(warm if temperature else cold)
            )
        ends = set(self.model.generation_config.eos_token_id)
        results = []
        for row in out[:, inputs["input_ids"].shape[1] :].tolist():
            ended = next((index for index, token in enumerate(row) if token in ends), None)
            results.append((self.tokenizer.decode(row[:ended], skip_special_tokens=True), ended is not None))
        return results


def closed(text: str) -> bool:
    """Whether every paragraph of `text` closes the quotes that it opens."""
    return all(part.count('"') % 2 == 0 for part in text.split("\n\n"))


def score(sampler: Sampler, words: Sequence[str], temperature: float) -> str:
    """Ask for a story about each of `words` and count what came back."""
    asked = [wrap([f"Tell me a story about {article(word)} {word}."]) for word in words]
    told = sampler(asked, temperature)
    named = [word in text.lower() for word, (text, _) in zip(words, told, strict=True)]
    missed = [word for word, good in zip(words, named, strict=True) if not good]
    total = len(words)
    return (
        f"temperature {temperature}: {sum(named)}/{total} name their subject, "
        f"{sum(end for _, end in told)}/{total} end, "
        f"{sum(closed(text) for text, _ in told)}/{total} close their quotes; missed: {', '.join(missed) or 'none'}"
    )


def main() -> None:
    """Print samples or counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--prompt", action="append", help="what to ask, in place of the usual list")
    parser.add_argument("--plain", action="store_true", help="continue the prompts instead of asking them")
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--score", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    sampler = Sampler(args.model)
    if args.score:
        seen = Random(0).sample(
            sorted({noun for group in GROUPS.values() for noun in group.nouns} | set(nouns.ITEMS)), 60
        )
        for name, words in (("in the training text", seen), ("not in the training text", UNSEEN)):
            for temperature in (0.0, 0.7):
                print(f"{name}, {score(sampler, words, temperature)}")
        return
    prompts = args.prompt or PROMPTS
    texts = [BOS + text for text in prompts] if args.plain else [wrap([text]) for text in prompts]
    for prompt, (text, ended) in zip(prompts, sampler(texts, args.temperature), strict=True):
        print(f"> {prompt}\n\n{text}{'' if ended else ' [no end]'}\n")


if __name__ == "__main__":
    main()
