from collections.abc import Callable
from pathlib import Path

import pytest

from ollamax.gguf import open_gguf
from ollamax.tokenizer import Tokenizer, build_tokenizer
from ollamax.tokenizer.plugin import ollamax_tokenizers

SHARED = Path(__file__).parents[4] / "shared" / "vocab"


@pytest.fixture(scope="session")
def shared_vocab() -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"the vocabularies of ../shared/vocab are not here ({SHARED})")
    return SHARED


@pytest.fixture(scope="session")
def load(shared_vocab: Path) -> Callable[[str], Tokenizer]:
    """The tokenizer of a shared vocabulary, each opened once."""
    opened: dict[str, Tokenizer] = {}

    def by_name(name: str) -> Tokenizer:
        if name not in opened:
            with open_gguf(shared_vocab / f"{name}.gguf") as file:
                opened[name] = build_tokenizer(dict(file.metadata), ollamax_tokenizers())
        return opened[name]

    return by_name
