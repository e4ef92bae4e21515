"""JSON of unknown origin."""

import os

import pytest

from ollamax.errors import CheckpointError
from ollamax.json_file import read_object


def test_an_object_is_read(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('{"a": [1, {"b": null}]}')
    assert read_object(path) == {"a": [1, {"b": None}]}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (b"[1]", "holds a JSON list"),
        (b"3", "holds a JSON int"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not valid JSON"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a": {"b": 1, "b": 2}}', "key 'b': occurs twice"),
        (b'{"n\\nn": 1, "n\\nn": 2}', r"key 'n\nn': occurs twice"),
    ],
)
def test_anything_else_is_an_error_of_one_line(tmp_path, text, problem):
    path = tmp_path / "x.json"
    path.write_bytes(text)
    with pytest.raises(CheckpointError) as caught:
        read_object(path)
    assert problem in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_the_size_is_bounded(tmp_path):
    path = tmp_path / "x.json"
    path.write_bytes(b'{"a": 1}' + b" " * (1 << 20))
    assert read_object(path, 2 << 20) == {"a": 1}
    with pytest.raises(CheckpointError, match="larger than 1 MiB"):
        read_object(path, 1 << 20)


def test_only_regular_files_are_opened(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path, tmp_path / "absent"):
        with pytest.raises(CheckpointError, match="not a regular file"):
            read_object(path)
