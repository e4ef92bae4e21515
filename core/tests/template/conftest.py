import importlib.util
from pathlib import Path

import pytest

from ollamax.types import Message


@pytest.fixture(scope="session")
def formats():
    """The module chat_formats beside this file."""
    spec = importlib.util.spec_from_file_location("chat_formats", Path(__file__).with_name("chat_formats.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def chat():
    return [
        Message("user", "Hello, how are you?"),
        Message("assistant", 'Fine. And <you>, "é" & 你好?'),
        Message("user", "Tell me a story."),
    ]
