"""A loaded model: the library's front door."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import index
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, overload

from ollamax import freed_memory
from ollamax.backend import Backend
from ollamax.engine.chat import ChatMessage, Reply, collect, fit, read_messages
from ollamax.engine.chunk import Chunk
from ollamax.engine.draft_length import StepCosts
from ollamax.engine.generate import Generation
from ollamax.engine.options import Options
from ollamax.engine.picture import Image, PictureReader, Shown, check_images, read_image
from ollamax.engine.prompter import Prompter
from ollamax.engine.runner import Logits, Runner
from ollamax.engine.sequence import Sequence as Held
from ollamax.errors import OptionError, UsageError, one_line
from ollamax.modelfile import Modelfile
from ollamax.template import Template
from ollamax.tokenizer.base import Tokenizer
from ollamax.types import Message, TensorSource

if TYPE_CHECKING:
    import numpy.typing as npt

    Ids = Sequence[int] | npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Parts:
    """What a model is made of; :func:`ollamax.engine.load.load` puts them together."""

    name: str
    source: TensorSource
    modelfile: Modelfile
    tokenizer: Tokenizer
    template: Template
    backend: Backend
    runner: Runner
    pictures: PictureReader | None
    step_bytes: int
    options: Options
    load_seconds: float


class Model:
    """Text in, text out. Made by :func:`ollamax.load`; close it, or use it as a context manager.

    One thread uses a model at a time, and one generation runs at a time: another call ends the one before it, which
    raises UsageError when it is asked for more. So does a call while another thread computes, and every call after
    ``close``, which waits for that.

    ``name`` is what it was loaded as, and ``tokenizer``, ``template``, ``modelfile``, ``backend`` and ``options`` are
    what it works with. ``load_seconds`` is what loading took, ``step_bytes`` what the backend reads of the weights to
    generate one token.
    """

    def __init__(self, parts: Parts) -> None:
        self.name, self.tokenizer, self.template = parts.name, parts.tokenizer, parts.template
        self.modelfile, self.backend, self.runner, self.options = (
            parts.modelfile,
            parts.backend,
            parts.runner,
            parts.options,
        )
        self.load_seconds, self.step_bytes = parts.load_seconds, parts.step_bytes
        self._pictures = parts.pictures
        mark = parts.pictures.mark if parts.pictures else None
        self._prompter = Prompter(parts.name, parts.tokenizer, parts.template, parts.modelfile.system, mark)
        self._source, self._held, self._closed = parts.source, Held(parts.runner), False
        self._unreported_load = parts.load_seconds
        self._costs = StepCosts()
        self._using = threading.RLock()

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The file's GGUF keys and values."""
        return self._source.metadata

    @property
    def weight_bytes(self) -> int:
        """Bytes of all tensors as they are stored."""
        return sum(info.nbytes for info in self._source.tensors.values())

    @property
    def context_length(self) -> int:
        """Tokens of context that this model was loaded with."""
        return self._held.capacity

    @property
    def sees_pictures(self) -> bool:
        """Whether the model's architecture has a vision part."""
        return self._pictures is not None

    def logits(self, ids: Ids, images: Sequence[Image] | None = None) -> Logits:
        """Scores of every token after each of ``ids``: float32 ``(len(ids), n_vocab)``.

        Each of ``images`` (paths or bytes) stands in ``ids`` as the token of a picture. Raises ContextFullError when
        ``ids`` do not fit the context, ImageError, and OptionError for images that the model cannot see.
        """
        tokens = self._check_ids(ids)
        shown = self._show(tokens, self._read_images(images))
        with self._alone():
            self._held.clear()
            try:
                self.runner.show(0, shown)
                return self.runner.prefill(0, tokens, every=True)
            finally:
                self.runner.truncate(0)

    def generate(
        self, prompt: str | Ids, *, images: Sequence[Image] | None = None, **options: Any
    ) -> Generator[Chunk, None, None]:
        """Continue ``prompt``, text or token ids, as it stands: no template is applied.

        Each of ``images`` (paths or bytes) stands in the prompt as the token of a picture; a text without any gets
        them before its beginning.

        Yields pieces of text; the last has ``done`` set. Options are those of Modelfiles (``max_tokens`` is
        num_predict). Raises OptionError for one that does not exist, and ContextFullError for a prompt that is too
        long, before anything is computed.
        """
        data = self._read_images(images)
        if isinstance(prompt, str):
            ids = self.tokenizer.encode(prompt) or self._prompter.beginning()
            if self._pictures and data and self._pictures.token not in ids:
                ids = [self._pictures.token] * len(data) + ids
        else:
            ids = self._check_ids(prompt) or self._prompter.beginning()
        return self._run(ids, options, data)

    @overload
    def chat(
        self, messages: Sequence[ChatMessage | Message], *, stream: Literal[False] = False, **options: Any
    ) -> Reply: ...
    @overload
    def chat(
        self, messages: Sequence[ChatMessage | Message], *, stream: Literal[True], **options: Any
    ) -> Generator[Chunk, None, None]: ...
    def chat(
        self, messages: Sequence[ChatMessage | Message], *, stream: bool = False, **options: Any
    ) -> Reply | Generator[Chunk, None, None]:
        """The assistant's next answer, whole, or piece by piece if ``stream``.

        A message has a ``role``, ``content`` and perhaps ``images`` (paths or bytes). The oldest messages are left out
        when all of them do not fit the context; a notice tells which. Raises OptionError, TemplateError, and
        ContextFullError when the last message alone is too long.
        """
        turns = read_messages(messages)
        self._prompter.check_sight(any(turn.images for turn in turns))
        prompt = fit(self._encode, [*self.modelfile.messages, *turns], self.context_length, self.tokenizer)
        chunks = self._run(prompt.ids, options, prompt.images, notice=prompt.notice, stops=self.template.stops)
        return chunks if stream else collect(chunks)

    def close(self) -> None:
        """Release the backend and the file; a second call does nothing."""
        with self._using:
            if self._closed:
                return
            self._closed = True
            self.runner.close()
            self._source.close()
        freed_memory.give_back()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(
        self,
        ids: list[int],
        options: Mapping[str, Any],
        images: Sequence[bytes],
        *,
        notice: str | None = None,
        stops: Sequence[str] = (),
    ) -> Generator[Chunk, None, None]:
        self.runner.check_open()
        chosen = self.options.merge(options, scope="generate")
        shown = self._show(ids, images)
        loading, self._unreported_load = self._unreported_load, 0.0
        generation = Generation(
            self._held,
            self.tokenizer,
            ids,
            chosen,
            pictures=shown,
            stops=stops,
            costs=self._costs,
            load_seconds=loading,
        )
        return self._chunks(generation, notice)

    def _chunks(self, generation: Generation, notice: str | None) -> Generator[Chunk, None, None]:
        if notice is not None:
            yield Chunk("", notice=notice)
        steps = iter(generation)
        with self._alone():
            chunk = next(steps, None)
        try:
            while chunk is not None:
                yield chunk
                with self._alone():
                    chunk = next(steps, None)
        finally:
            with self._using:  # what it drafted is taken back
                steps.close()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Raise UsageError while another thread computes: native code has one set of caches and buffers."""
        if not self._using.acquire(blocking=False):
            raise UsageError("another thread is using this model; wait for it, or load the model once for each thread")
        try:
            yield
        finally:
            self._using.release()

    def _encode(self, messages: Sequence[Message]) -> list[int]:
        return self._prompter.ids(self._prompter.text(messages))

    def _check_ids(self, ids: Ids) -> list[int]:
        try:
            tokens = [index(token) for token in ids]
        except TypeError:
            raise OptionError(f"token ids must be whole numbers, not {one_line(repr(ids), 60)}") from None
        for token in tokens:
            if not 0 <= token < self.tokenizer.n_vocab:
                raise OptionError(
                    f"token id {token} is outside the vocabulary, expected 0 to {self.tokenizer.n_vocab - 1}"
                )
        return tokens

    def _read_images(self, images: Sequence[Image] | None) -> list[bytes]:
        listed = check_images("the prompt", images)
        self._prompter.check_sight(bool(listed))
        return [read_image(f"picture {number}", image) for number, image in enumerate(listed, 1)]

    def _show(self, ids: Sequence[int], images: Sequence[bytes]) -> tuple[Shown, ...]:
        return self._pictures.find(ids, images) if self._pictures else ()
