"""A model without weights, for tests of what surrounds it."""

import types

import pytest

from ollamax.engine.chunk import Chunk, Stats
from ollamax.modelfile.modelfile import Modelfile
from ollamax.template.go import GoTemplate

STATS = Stats(1.5, 0.25, 12, 0.5, 3, 0.03, eval_steps=2)


class FakeModel:
    """Answers with ``replies`` in turn and records what it was asked."""

    sees_pictures = False
    weight_bytes, step_bytes = 2_500_000_000, 300_000_000

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

    def load(name, *, backend="auto", template=None, progress=None, warn=None, **load_options):
        if loader.fail and load_options.get("num_ctx") == 7:
            raise loader.fail
        loader.requests.append((name, backend, template))
        loader.models.append(FakeModel(loader.replies, **load_options))
        return loader.models[-1]

    monkeypatch.setitem(vars(ollamax), "load", load)
    return loader


@pytest.fixture
def gguf(tmp_path):
    """Writes a tiny llama-like GGUF file and returns its path."""
    import numpy as np

    from ollamax.gguf.writer import write_gguf
    from ollamax.types import DType, TensorInfo

    def write(name="tiny.gguf", **metadata):
        keys = {
            "general.architecture": "llama",
            "general.file_type": 7,
            "llama.context_length": 128,
            "llama.embedding_length": 32,
            "tokenizer.ggml.tokens": ["<s>", "</s>"],
            **metadata,
        }
        info = TensorInfo("token_embd.weight", DType.F32, (50, 32))
        write_gguf(tmp_path / name, keys, [info], lambda _name: np.zeros(info.nbytes, np.uint8))
        return tmp_path / name

    return write


@pytest.fixture
def store(tmp_path, monkeypatch):
    """The empty store that commands use."""
    from ollamax.store import Store

    monkeypatch.setenv("OLLAMAX_MODELS", str(tmp_path / "models"))
    return Store()


@pytest.fixture
def put(store, gguf):
    """Adds a model to the store, as create would."""
    import json

    from ollamax.store import MediaType
    from ollamax.store.image import image_config

    def add(name, *, params=None, template=None, system=None, licenses=(), messages=(), **metadata):
        texts = [(MediaType.TEMPLATE, template), (MediaType.SYSTEM, system)]
        texts += [
            (MediaType.PARAMS, params and json.dumps(params)),
            (MediaType.MESSAGES, messages and json.dumps(messages)),
        ]
        texts += [(MediaType.LICENSE, text) for text in licenses]
        with store.transaction() as transaction:
            layers = [transaction.add_file(MediaType.MODEL, gguf(**metadata))]
            layers += [transaction.add_bytes(kind, text.encode()) for kind, text in texts if text]
            config = transaction.add_bytes(MediaType.CONFIG, image_config("llama", 1600, "Q8_0", layers))
            transaction.commit(name, config, layers)
        return store.get(name)

    return add


@pytest.fixture
def bundle(monkeypatch, gguf):
    """Makes the only plugin one that brings the model ``story``; returns its file."""
    from ollamax.plugins import BundledModel, Registry
    from ollamax.plugins.report import Row

    path = gguf("bundled.gguf")
    fragment = 'PARAMETER stop "<|end|>"\nSYSTEM Tell stories.'
    registry = Registry(models={"story": BundledModel("story", path, "Tells stories", fragment)})
    rows = [
        Row("poems", "1", [], {"model": ["ode"]}, "ok", "", []),
        Row("tales", "1", [], {"model": ["story"]}, "ok", "", []),
    ]
    manager = types.SimpleNamespace(report=lambda _reserved: rows)
    for module in ("ollamax.plugins", "ollamax.cli.list", "ollamax.cli.description", "ollamax.engine.resolve"):
        monkeypatch.setattr(f"{module}.get_registry", lambda: registry)
    monkeypatch.setattr("ollamax.plugins.get_manager", lambda: manager)
    return path
