"""A GGUF file assembled field by field, so that tests can get any field wrong."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest


class RawFile:
    """Byte strings of GGUF's parts, and a place to put them together."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def string(self, text: str | bytes) -> bytes:
        raw = text if isinstance(text, bytes) else text.encode()
        return struct.pack("<Q", len(raw)) + raw

    def entry(self, key: str | bytes, kind: int, payload: bytes) -> bytes:
        return self.string(key) + struct.pack("<I", kind) + payload

    def array(self, kind: int, count: int, payload: bytes) -> bytes:
        return struct.pack("<IQ", kind, count) + payload

    def tensor(self, name: str | bytes, sizes: tuple[int, ...], kind: int, offset: int) -> bytes:
        return self.string(name) + struct.pack(f"<I{len(sizes)}QIQ", len(sizes), *sizes, kind, offset)

    def content(
        self,
        entries: tuple[bytes, ...] = (),
        tensors: tuple[bytes, ...] = (),
        data: bytes = b"",
        *,
        version: int = 3,
        n_entries: int | None = None,
        n_tensors: int | None = None,
        alignment: int = 32,
    ) -> bytes:
        head = b"GGUF" + struct.pack(
            "<IQQ",
            version,
            len(tensors) if n_tensors is None else n_tensors,
            len(entries) if n_entries is None else n_entries,
        )
        head += b"".join(entries) + b"".join(tensors)
        return head + (bytes(-len(head) % alignment) + data if data else b"")

    def write(self, content: bytes, name: str = "file.gguf") -> Path:
        path = self.directory / name
        path.write_bytes(content)
        return path


@pytest.fixture
def raw(tmp_path: Path) -> RawFile:
    return RawFile(tmp_path)


@pytest.fixture(scope="session")
def raw_session(tmp_path_factory: pytest.TempPathFactory) -> RawFile:
    return RawFile(tmp_path_factory.mktemp("gguf"))


@pytest.fixture(scope="session")
def sample(raw_session: RawFile) -> bytes:
    """A small file with every kind of field."""
    raw = raw_session
    return raw.content(
        (
            raw.entry("general.architecture", 8, raw.string("llama")),
            raw.entry("general.alignment", 4, struct.pack("<I", 16)),
            raw.entry("flag", 7, b"\1"),
            raw.entry("tokens", 9, raw.array(8, 3, raw.string("a") + raw.string("ä") + raw.string(""))),
            raw.entry("scores", 9, raw.array(6, 2, struct.pack("<2f", 1, 2))),
            raw.entry("nested", 9, raw.array(9, 1, raw.array(7, 2, b"\0\1"))),
        ),
        (raw.tensor("one.weight", (4, 2), 0, 0), raw.tensor("two.weight", (32,), 8, 32)),
        bytes(range(32 + 34)),
        alignment=16,
    )
