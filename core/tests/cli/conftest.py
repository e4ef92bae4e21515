"""A model without weights, for tests of what surrounds it."""

import types

import pytest

from ollamax.engine.chunk import Chunk, Stats
from ollamax.modelfile.modelfile import Modelfile
from ollamax.template.go import GoTemplate

STATS = Stats(1.5, 0.25, 12, 0.5, 3, 0.03)


class FakeModel:
    """Answers with ``replies`` in turn and records what it was asked."""

    def __init__(self, replies=("Once upon a time.",), **load_options):
        self.replies, self.load_options = list(replies), load_options
        self.calls, self.closed = [], False
        self.modelfile = Modelfile(from_="fake", parameters={"stop": ["a", "b"]}, system="Be brief.", template="T")
        self.name, self.context_length, self.template = "fake", 64, GoTemplate("{{ .Prompt }}")
        self.metadata = {"general.architecture": "fake", "fake.context_length": 128}
        self.backend = types.SimpleNamespace(name="none")

    def chat(self, messages, *, stream, **options):
        assert stream is True
        self.calls.append((messages, options))
        return self._answer(self.replies.pop(0))

    def generate(self, prompt, **options):
        self.calls.append((prompt, options))
        return self._answer(self.replies.pop(0))

    def _answer(self, reply):
        if isinstance(reply, list):
            for part in reply:
                if isinstance(part, BaseException):
                    raise part
                yield part if isinstance(part, Chunk) else Chunk(part)
        else:
            for word in reply.split(" "):
                yield Chunk(word if reply.startswith(word) else " " + word)
        yield Chunk("", done=True, done_reason="stop", stats=STATS)

    def close(self):
        self.closed = True


@pytest.fixture
def fake(monkeypatch):
    """``ollamax.load`` gives FakeModels; ``fake.models`` lists them, ``fake.replies`` is what they answer."""
    import ollamax

    loader = types.SimpleNamespace(models=[], replies=["Once upon a time."] * 5, requests=[], fail=None)

    def load(name, *, backend="auto", template=None, progress=None, **load_options):
        if loader.fail and load_options.get("num_ctx") == 7:
            raise loader.fail
        loader.requests.append((name, backend, template))
        loader.models.append(FakeModel(loader.replies, **load_options))
        return loader.models[-1]

    monkeypatch.setitem(vars(ollamax), "load", load)
    return loader
