"""The tables of docs/backends.md, from what the installed backends declare and do.

python benchmarks/backend_tables.py            # writes them into the page
python benchmarks/backend_tables.py --check    # exit status 1, and no writing, where the page is stale
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ollamax.backend import Backend
from ollamax.errors import BackendError
from ollamax.ml import COMPOUNDS, PRIMITIVES
from ollamax.plugins import get_registry
from ollamax.testing.weight_cases import STORED, WIDTH, random_weight
from ollamax.testing.weight_suite import linear_graph
from ollamax.types import DType, TensorInfo

PAGE = Path(__file__).parents[1] / "docs" / "backends.md"
BEGIN, END = "<!-- made by benchmarks/backend_tables.py -->\n", "<!-- end of what was made -->\n"
ROWS = 64


def line(cells: Sequence[str]) -> str:
    """A row of a table."""
    return f"| {' | '.join(cells)} |\n"


def head(first: str, names: Sequence[str]) -> str:
    """The head of a table with a column for each backend."""
    return line([first, *names]) + line(["---"] * (1 + len(names)))


def op_rows(backends: Mapping[str, type[Backend]]) -> Iterator[str]:
    """Who runs an op; primitives that all backends run natively share a row."""
    yield head("op", list(backends))
    everywhere = [op for op in sorted(PRIMITIVES) if all(op in backend.ops for backend in backends.values())]
    if everywhere:
        yield line([", ".join(f"`{op}`" for op in everywhere), *["native"] * len(backends)])
    for op in sorted(PRIMITIVES - set(everywhere)):
        yield line([f"`{op}`", *("native" if op in backend.ops else "-" for backend in backends.values())])
    for op in sorted(COMPOUNDS):
        ways = (
            "by core" if op not in backend.ops else "lowered" if op in backend.composed else "fused"
            for backend in backends.values()
        )
        yield line([f"`{op}`", *ways])


def weight_rows(backends: Mapping[str, type[Backend]]) -> Iterator[str]:
    """How many bits of memory a product reads for each weight, by stored type."""
    yield head("weights", list(backends))
    for dtype in STORED:
        stored = 8 * dtype.block_bytes / dtype.block_size
        yield line([f"{dtype.name} ({stored:g})", *(bits(backend, dtype) for backend in backends.values())])


def bits(kind: type[Backend], dtype: DType) -> str:
    """Bits of a weight that a product reads, after a product was computed."""
    import numpy as np

    backend = kind()
    try:
        backend.load({"w": random_weight(dtype, ROWS)})
        program = backend.compile(linear_graph(ROWS, WIDTH, dtype))
        program.run({"x": np.ones((1, WIDTH), np.float32)}, {"T": 1})
        matrix = TensorInfo("w", dtype, (ROWS, WIDTH))
        return f"{8 * backend.read_bytes(matrix) / matrix.elements:g}"
    except BackendError:
        return "refused"
    finally:
        backend.close()


def cache_rows(backends: Mapping[str, type[Backend]]) -> Iterator[str]:
    """Types of caches."""
    kinds = sorted({kind for backend in backends.values() for kind in backend.cache_types})
    yield head("cache", list(backends))
    for kind in kinds:
        yield line([kind.name, *("yes" if kind in backend.cache_types else "-" for backend in backends.values())])


def tables() -> str:
    """All of them."""
    known = get_registry().backends
    backends = {name: known[name] for name in ("cpu", "ggml", "onnx", "metal")}
    parts = [op_rows(backends), weight_rows(backends), cache_rows(backends)]
    return "\n".join("".join(rows) for rows in parts)


def filled(page: str, made: str) -> str:
    """The page with other tables; ValueError where it has no place for them."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the page has no {BEGIN.strip()} and {END.strip()}")
    return f"{before}{BEGIN}\n{made}\n{END}{after}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only say whether the page is up to date")
    parser.add_argument("--page", type=Path, default=PAGE)
    given = parser.parse_args(arguments)
    page = given.page.read_text(encoding="utf-8")
    new = filled(page, tables())
    if given.check:
        if new != page:
            print(f"{given.page} is stale; run: python benchmarks/backend_tables.py", file=sys.stderr)
        return int(new != page)
    given.page.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
