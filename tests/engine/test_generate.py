"""Generation: limits, stops, seeds, sliding, reuse, chats and their errors."""

import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ollamax.engine.chunk import Chunk
from ollamax.engine.model import Model
from ollamax.errors import BackendError, ContextFullError, OptionError, UsageError

Load = Callable[..., Model]

PROMPT = "the quick brown fox"


def tokens(chunks: Any) -> list[int]:
    return [chunk.token for chunk in chunks if chunk.token is not None]


def last(chunks: Any) -> Chunk:
    return list(chunks)[-1]


def test_num_predict_and_its_alias(load: Load) -> None:
    model = load()
    for name in ("num_predict", "max_tokens"):
        chunks = list(model.generate(PROMPT, temperature=0, **{name: 7}))
        assert len(tokens(chunks)) == 7
        assert chunks[-1].done_reason == "length"
    assert last(model.generate(PROMPT, num_predict=0)).done_reason == "load"
    assert not tokens(model.generate(PROMPT, num_predict=0))


def test_greedy_equals_argmax_of_logits(load: Load) -> None:
    model = load()
    ids = model.tokenizer.encode(PROMPT)
    found = tokens(model.generate(ids, temperature=0, num_predict=10))
    for count, token in enumerate(found):
        assert int(load().logits([*ids, *found[:count]])[-1].argmax()) == token


def test_seed_decides(load: Load) -> None:
    model = load()

    def draw(seed: int) -> list[int]:
        return tokens(model.generate(PROMPT, seed=seed, temperature=5.0, top_k=0, top_p=1.0, num_predict=20))

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_generation_slides_past_the_context(load: Load) -> None:
    model = load(num_ctx=32)
    chunks = list(model.generate(PROMPT, temperature=0, num_predict=150, num_keep=5))
    assert len(tokens(chunks)) == 150
    assert chunks[-1].done_reason == "length"
    assert model.runner.book.length(0) <= 32


def test_num_keep_decides_what_stays(load: Load) -> None:
    model = load(num_ctx=32)
    ids = model.tokenizer.encode(PROMPT)
    slides: list[tuple[int, int]] = []
    original = model.runner.slide

    def record(slot: int, keep: int, discard: int) -> int:
        slides.append((keep, discard))
        return original(slot, keep, discard)

    model.runner.slide = record  # type: ignore[method-assign]
    for keep in (0, 4, -1):
        list(model.generate(ids, temperature=0, num_predict=14, num_keep=keep))
    assert slides == [(0, 16), (4, 14), (len(ids), (32 - len(ids)) // 2)]


def test_minus_two_stops_when_the_context_is_full(load: Load) -> None:
    model = load(num_ctx=32)
    chunks = list(model.generate(PROMPT, temperature=0, num_predict=-2))
    assert len(model.tokenizer.encode(PROMPT)) + len(tokens(chunks)) == 33
    assert chunks[-1].done_reason == "length"


def test_stop_text_ends_the_answer_and_is_not_printed(load: Load) -> None:
    model = load()
    whole = "".join(chunk.text for chunk in model.generate(PROMPT, temperature=0, num_predict=30))
    stop = whole[10:13]
    chunks = list(model.generate(PROMPT, temperature=0, num_predict=30, stop=[stop]))
    assert "".join(chunk.text for chunk in chunks) == whole[: whole.index(stop)]
    assert chunks[-1].done_reason == "stop"


def test_end_token_ends_the_answer(load: Load) -> None:
    model = load()
    first = tokens(model.generate(PROMPT, temperature=0, num_predict=1))[0]
    ends = load({"tokenizer__ggml__eot_token_id": first})
    chunk = last(ends.generate(PROMPT, temperature=0))
    assert chunk.done_reason == "stop"
    assert chunk.text == ""


def test_a_second_call_computes_only_what_is_new(load: Load) -> None:
    model = load()
    ids = model.tokenizer.encode(PROMPT)
    answer = tokens(model.generate(ids, temperature=0, num_predict=8))
    longer = [*ids, *answer[:5], *b" and then"]
    stats = last(model.generate(longer, temperature=0, num_predict=3)).stats
    assert stats is not None
    assert stats.prompt_tokens == len(b" and then")
    fresh = tokens(load().generate(longer, temperature=0, num_predict=3))
    assert tokens(model.generate(longer, temperature=0, num_predict=3)) == fresh


def test_after_a_slide_nothing_is_reused(load: Load) -> None:
    model = load(num_ctx=32)
    list(model.generate(PROMPT, temperature=0, num_predict=40))
    assert tokens(model.generate(PROMPT, temperature=0, num_predict=9)) == tokens(
        load().generate(PROMPT, temperature=0, num_predict=9)
    )


def test_load_options_are_defaults_of_every_generation(load: Load) -> None:
    model = load(num_predict=3, temperature=0)
    assert len(tokens(model.generate(PROMPT))) == 3
    assert len(tokens(model.generate(PROMPT, num_predict=5))) == 5


def test_context_length_is_honoured_or_rejected(load: Load) -> None:
    assert load().context_length == 128
    assert load(context_length=40).context_length == 40
    with pytest.raises(OptionError, match=r"num_ctx is 129, but .* was trained for 128 tokens"):
        load(num_ctx=129)


def test_prompt_longer_than_the_context_says_what_would_be_cut(load: Load) -> None:
    model = load(num_ctx=20)
    with pytest.raises(ContextFullError, match=r"has 37 tokens and the context holds 20: its last 18 .* 'jumps over"):
        model.generate("the quick brown fx jumps over a dog!")
    assert model.runner.computed == 0


def test_chat_leaves_out_the_oldest_messages(load: Load) -> None:
    model = load(num_ctx=40, num_predict=2, temperature=0)
    turns = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "one one one one"},
        {"role": "assistant", "content": "two two two"},
        {"role": "user", "content": "three three"},
    ]
    reply = model.chat(turns)
    assert reply.notice == (
        "the oldest 2 messages were left out: the context holds 40 tokens; raise num_ctx to keep more"
    )
    chunks = list(model.chat(turns, stream=True))
    assert chunks[0].notice == reply.notice
    assert "".join(chunk.text for chunk in chunks) == reply.text
    assert model.chat(turns[-1:]).notice is None
    with pytest.raises(ContextFullError, match="would be cut"):
        model.chat([{"role": "user", "content": "x" * 60}])


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([], "at least one message"),
        ("hi", "message 1 is of type str; expected a mapping with role and content"),
        ({"role": "user", "content": "hi"}, "a chat is a list of messages, each with role and content, not dict"),
        (5, "a chat is a list of messages, .* not int"),
        (["hi"], "message 1 is of type str; expected a mapping with role and content"),
        ([{"role": "user", "content": "hi"}, None], "message 2 is of type NoneType"),
        ([{"role": "user", "content": "hi", 1: 2, "tool": 3}], "message 1 has 'tool', 1; known are"),
        ([{"role": "user"}], "message 1 has content of type NoneType"),
        ([{"role": "king", "content": "hi"}], "message 1 has role 'king'"),
        ([{"role": "user", "content": "hi", "tool": 1}], "message 1 has 'tool'; known are"),
        ([{"role": "user", "content": "hi", "images": [3]}], "image of type int"),
    ],
)
def test_messages_are_checked(load: Load, messages: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load().chat(messages)


def test_pictures_are_rejected_by_name(load: Load) -> None:
    model = load()
    for call in (
        lambda: model.generate("hi", images=[b"x"]),
        lambda: model.logits([1], images=[b"x"]),
        lambda: model.chat([{"role": "user", "content": "hi", "images": [b"x"]}]),
    ):
        with pytest.raises(OptionError, match="cannot see pictures"):
            call()


@pytest.mark.parametrize("images", ["a.png", Path("a.png"), b"x", 5, {"a.png": 1}, iter([b"x"]), np.zeros(3)])
def test_pictures_that_are_no_list_are_refused(load: Load, images: Any) -> None:
    model, problem = load(), f"has images of type {type(images).__name__}; expected a list of paths or bytes"
    for call in (
        lambda: model.generate("hi", images=images),
        lambda: model.logits([1], images=images),
        lambda: model.chat([{"role": "user", "content": "hi", "images": images}]),
    ):
        with pytest.raises(UsageError, match=problem):
            call()


def test_token_ids_are_checked(load: Load) -> None:
    model = load()
    with pytest.raises(OptionError, match="token id 258 is outside the vocabulary, expected 0 to 257"):
        model.logits([1, 258])
    for wrong in ([1.5], "ab", np.ones((40, 2), np.int64)):
        with pytest.raises(OptionError, match=r"token ids must be whole numbers, not .*[\])'.]$"):
            model.logits(wrong)


def test_options_of_the_wrong_time_are_rejected(load: Load) -> None:
    with pytest.raises(OptionError, match="num_ctx"):
        load().generate(PROMPT, num_ctx=64)
    with pytest.raises(OptionError, match="mirostat"):
        load().generate(PROMPT, mirostat=1)


def test_first_answer_reports_the_time_to_load(load: Load) -> None:
    model = load()
    first, second = (last(model.generate(PROMPT, num_predict=2)).stats for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.load_seconds == model.load_seconds > 0
    assert second.load_seconds == 0
    assert first.eval_tokens == 2


def test_num_thread_reaches_the_backend(load: Load, backend: str) -> None:
    if backend == "metal":
        with pytest.raises(BackendError, match="MLX chooses its number of threads itself; leave num_thread out"):
            load(num_thread=2)
    else:
        assert load(num_thread=2).backend.options.threads == 2
    assert load().backend.options.threads is None


def test_a_device_reaches_the_backend(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(device="cpu").backend.options.device == "cpu"
    assert load().backend.options.device is None
    monkeypatch.setenv("OLLAMAX_DEVICE", "tpu")
    with pytest.raises(BackendError, match="has no device 'tpu'; it has: cpu"):
        load()


def test_a_thread_that_comes_while_another_computes_is_told(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    model, began, go = load(), threading.Event(), threading.Event()
    expected = tokens(model.generate(PROMPT, temperature=0, num_predict=5))
    plain, told = model.runner.prefill, list[str]()

    def prefill(*arguments: Any) -> Any:
        began.set()
        assert go.wait(60)
        return plain(*arguments)

    def disturb() -> None:
        assert began.wait(60)
        for call in (lambda: model.logits([1]), lambda: next(model.generate("another"))):
            with pytest.raises(UsageError) as found:
                call()
            told.append(str(found.value))
        go.set()
        model.close()

    monkeypatch.setattr(model.runner, "prefill", prefill)
    other = threading.Thread(target=disturb)
    other.start()
    chunks = model.generate(PROMPT, temperature=0, num_predict=5)
    assert next(chunks).token == expected[0]
    other.join()
    assert told == ["another thread is using this model; wait for it, or load the model once for each thread"] * 2
    with pytest.raises(UsageError, match="closed"):
        list(chunks)


def test_closing_twice_is_fine(load: Load) -> None:
    model = load()
    model.close()
    model.close()


def test_a_closed_model_says_so_and_keeps_no_weights(load: Load) -> None:
    model = load()
    running = model.generate(PROMPT, num_predict=9)
    next(running)
    held = weakref.ref(model.runner.step_graph)
    model.close()
    assert held() is None
    for call in (
        lambda: next(running),
        lambda: model.logits([1, 2]),
        lambda: model.generate(PROMPT),
        lambda: model.chat([{"role": "user", "content": "hi"}]),
        lambda: model.runner.slide(0, 0, 1),
        lambda: model.runner.copy(0, 0, 1),
    ):
        with pytest.raises(UsageError, match="the model was closed; load it again"):
            call()


def test_an_answer_that_another_call_interrupted_does_not_go_on(load: Load) -> None:
    model = load()
    for other in (lambda: next(model.generate("a stitch")), lambda: model.logits([1, 2])):
        running = model.generate(PROMPT, temperature=0, num_predict=9)
        next(running)
        other()
        with pytest.raises(UsageError, match="another call used this model meanwhile"):
            next(running)


def test_an_interrupted_slide_leaves_nothing_to_reuse(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load(num_ctx=32)
    with monkeypatch.context() as patch:
        patch.setattr(model.runner._shift, "run", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            list(model.generate(PROMPT, temperature=0, num_predict=40))
    assert model.runner.book.length(0) == 0
    expected = tokens(load(num_ctx=32).generate(PROMPT, temperature=0, num_predict=9))
    assert tokens(model.generate(PROMPT, temperature=0, num_predict=9)) == expected
