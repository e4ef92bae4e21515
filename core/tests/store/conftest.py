import json

import pytest

from ollamax.store import MediaType, Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "models", lock_timeout=0.2)


@pytest.fixture
def put(store):
    """Adds a model; returns the store's own view of it."""

    def add(name, weights=b"GGUF weights", *, params=None, template=None, system=None, licenses=(), messages=()):
        with store.transaction() as transaction:
            layers = [transaction.add_bytes(MediaType.MODEL, weights)]
            if template is not None:
                layers.append(transaction.add_bytes(MediaType.TEMPLATE, template.encode()))
            if system is not None:
                layers.append(transaction.add_bytes(MediaType.SYSTEM, system.encode()))
            if params is not None:
                layers.append(transaction.add_bytes(MediaType.PARAMS, json.dumps(params).encode()))
            if messages:
                layers.append(transaction.add_bytes(MediaType.MESSAGES, json.dumps(messages).encode()))
            layers += [transaction.add_bytes(MediaType.LICENSE, text.encode()) for text in licenses]
            config = transaction.add_bytes(MediaType.CONFIG, json.dumps({"model_family": "llama"}).encode())
            transaction.commit(name, config, layers)
        return store.get(name)

    return add


@pytest.fixture
def snapshot(store):
    """All files of the store but its lock, and what they hold."""

    def take():
        return {
            str(path.relative_to(store.root)): path.read_bytes()
            for path in sorted(store.root.rglob("*"))
            if path.is_file() and path.name != "lock"
        }

    return take
