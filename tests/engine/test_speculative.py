"""Drafting from the text changes how fast an answer comes, and nothing of the answer or of what stays in the cache."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_llama import write_random_llama
from random_qwen2 import write_random_qwen2

import ollamax
from ollamax.engine.chunk import Chunk, Stats
from ollamax.engine.model import Model
from ollamax.errors import UsageError

Load = Callable[..., Model]

TEXT = "one two three one two three one two three one two"
SAME = {"rtol": 2e-4, "atol": 2e-4}
CELLS, WINDOW = 48, 6

WRITERS: dict[str, Callable[[Path], Path]] = {
    "full": write_random_llama,
    "window": lambda path: write_random_qwen2(path, [WINDOW, WINDOW]),
    "mixed": lambda path: write_random_qwen2(path, [None, WINDOW, None, WINDOW]),
}


@dataclass(frozen=True)
class Answer:
    tokens: list[int]
    pieces: list[str]
    reason: str | None
    stats: Stats
    held: list[int]


def answer(model: Model, prompt: Any, **options: Any) -> Answer:
    chunks: list[Chunk] = list(model.generate(prompt, **options))
    found = [chunk.token for chunk in chunks if chunk.token is not None]
    stats = chunks[-1].stats
    assert stats is not None
    held = list(model._held.tokens)
    assert model.runner.book.length(0) == len(held)
    return Answer(found, [chunk.text for chunk in chunks], chunks[-1].done_reason, stats, held)


def assert_same(drafted: Answer, plain: Answer) -> None:
    assert (drafted.tokens, drafted.pieces, drafted.reason) == (plain.tokens, plain.pieces, plain.reason)
    assert drafted.held == plain.held
    assert drafted.stats.eval_tokens == plain.stats.eval_tokens
    assert plain.stats.drafted_tokens == 0


@pytest.fixture(scope="module", params=WRITERS)
def models(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, backend: str) -> Iterator[Any]:
    """One that drafts and one that does not."""
    path = WRITERS[request.param](tmp_path_factory.mktemp("random") / "random.gguf")
    size: dict[str, Any] = {"num_ctx": CELLS, "num_batch": 5}
    with (
        ollamax.load(path, backend=backend, **size) as drafts,
        ollamax.load(path, backend=backend, draft_num_predict=0, **size) as plain,
    ):
        yield drafts, plain


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    prompt=st.lists(st.sampled_from([65, 66, 67]), min_size=1, max_size=30),
    draft=st.integers(-1, 9),
    count=st.sampled_from([-2, 1, 2, 7, 60]),
    temperature=st.sampled_from([0.0, 0.3, 1.0]),
    top_k=st.sampled_from([1, 2, 40]),
    penalty=st.sampled_from([0.7, 1.0, 1.3]),
    keep=st.sampled_from([0, 4, 25, -1]),
    seed=st.integers(0, 9),
)
def test_any_answer_is_the_same_with_and_without_drafts(
    models: tuple[Model, Model], prompt: list[int], draft: int, count: int, penalty: float, keep: int, **options: Any
) -> None:
    drafts, plain = models
    options |= {"num_predict": count, "repeat_penalty": penalty, "num_keep": keep}
    expected = answer(plain, prompt, **options)
    found = answer(drafts, prompt, draft_num_predict=draft, **options)
    assert_same(found, expected)
    # What is held is also right: the next logits are those of the other cache.
    turn = [*found.held[: CELLS - 4], 70]
    options |= {"num_predict": 2}
    assert answer(drafts, turn, draft_num_predict=draft, **options).tokens == answer(plain, turn, **options).tokens
    last = [model.runner.prefill(0, [71])[0] for model in models]
    np.testing.assert_allclose(last[0], last[1], **SAME)


@pytest.mark.parametrize("most", [1, 3, 8, 1000])
def test_drafts_are_made_and_accepted(load: Load, most: int) -> None:
    model = load()
    # Penalties below 1 favour what occurred before, so that this random model repeats itself.
    options: dict[str, Any] = {"temperature": 0, "num_predict": 60, "repeat_penalty": 0.5}
    plain = answer(model, TEXT, draft_num_predict=0, **options)
    before = model.runner.computed
    drafted = answer(model, TEXT, draft_num_predict=most, **options)
    assert_same(drafted, plain)
    stats = drafted.stats
    assert 0 < stats.accepted_tokens <= stats.drafted_tokens
    assert model.runner.computed - before == stats.prompt_tokens + 59 + stats.drafted_tokens - stats.accepted_tokens


def test_the_demo_answers_the_same(backend: str) -> None:
    prompts = [
        "The owl and the fox. The owl and the fox. The owl",
        "Once upon a time there was a lantern. Once upon a time",
        "Tell me a story about an owl and a lantern",
        "a b c d a b c d a b",
    ]
    accepted = 0
    with ollamax.load("demo", backend=backend) as model:
        for prompt in prompts:
            for options in ({"temperature": 0}, {"temperature": 0.7, "seed": 3}):
                options |= {"num_predict": 60}
                plain = answer(model, prompt, draft_num_predict=0, **options)
                for most in (-1, 7):
                    drafted = answer(model, prompt, draft_num_predict=most, **options)
                    assert_same(drafted, plain)
                    accepted += drafted.stats.accepted_tokens
    assert accepted > 0


def repeating(model: Model, **options: Any) -> Any:
    return model.generate(TEXT, temperature=0, repeat_penalty=0.5, draft_num_predict=7, **options)


def in_a_draft(model: Model, running: Any) -> list[int]:
    """Ask for tokens until one came from a draft of which more is left; returns all of them."""
    found = [next(running).token]
    while len(model._held) <= len(model.tokenizer.encode(TEXT)) + len(found):
        found.append(next(running).token)
    return found


def test_a_stop_text_within_a_draft(load: Load) -> None:
    model = load()
    whole = "".join(chunk.text for chunk in repeating(model, num_predict=40))
    for at in range(10, 36):
        stop = whole[at : at + 3]
        options: dict[str, Any] = {"temperature": 0, "repeat_penalty": 0.5, "num_predict": 40, "stop": [stop]}
        plain = answer(model, TEXT, draft_num_predict=0, **options)
        assert_same(answer(model, TEXT, draft_num_predict=7, **options), plain)
        assert plain.reason == "stop"


def test_an_end_token_within_a_draft(load: Load) -> None:
    found = [chunk.token for chunk in repeating(load(), num_predict=40)]
    options: dict[str, Any] = {"temperature": 0, "repeat_penalty": 0.5, "num_predict": 40}
    for token in dict.fromkeys(found):
        model = load({"tokenizer__ggml__eot_token_id": token})
        plain = answer(model, TEXT, draft_num_predict=0, **options)
        assert_same(answer(model, TEXT, draft_num_predict=7, **options), plain)
        assert plain.reason == "stop"


def test_an_answer_left_in_a_draft_leaves_only_what_was_given_out(load: Load) -> None:
    model = load()
    ids = model.tokenizer.encode(TEXT)
    running = repeating(model, num_predict=40)
    found = in_a_draft(model, running)
    running.close()
    assert list(model._held.tokens) == [*ids, *found][: len(model._held)]
    assert model.runner.book.length(0) == len(model._held) == len(ids) + len(found) - 1


def test_another_call_and_close_end_an_answer_within_a_draft(load: Load) -> None:
    model = load()
    running = repeating(model, num_predict=40)
    in_a_draft(model, running)
    other = model.generate("a stitch", temperature=0, num_predict=9)
    next(other)
    held = list(model._held.tokens)
    with pytest.raises(UsageError, match="another call used this model meanwhile"):
        next(running)
    assert list(model._held.tokens) == held
    running = repeating(model, num_predict=40)
    in_a_draft(model, running)
    model.close()
    with pytest.raises(UsageError, match="the model was closed"):
        next(running)


def test_an_interrupted_draft_leaves_a_usable_model(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load()
    expected = answer(model, TEXT, temperature=0, num_predict=20, draft_num_predict=0).tokens
    run = model.runner._step.run

    def interrupt(inputs: Any, dims: Any) -> Any:
        if dims["T"] == 8:
            raise KeyboardInterrupt
        return run(inputs, dims)

    with monkeypatch.context() as patch:
        patch.setattr(model.runner._step, "run", interrupt)
        with pytest.raises(KeyboardInterrupt):
            list(repeating(model, num_predict=40))
    assert model.runner.book.length(0) == len(model._held) == 0
    assert answer(model, TEXT, temperature=0, num_predict=20).tokens == expected
