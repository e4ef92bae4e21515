"""Comparing a model with transformers, with a saved trace, or with itself on another backend."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ollamax.engine.resolve import ResolvedModel
from ollamax.errors import UsageError
from ollamax.inspect.comparison import Comparison, check_comparable, compare
from ollamax.inspect.reference import read_facts, require_transformers, trace_reference
from ollamax.inspect.trace import Trace
from ollamax.inspect.trace_directory import is_trace, load_trace
from ollamax.inspect.tracing import trace_model
from ollamax.plugins import Registry

Prompt = str | Sequence[int]


def compare_model(
    model: ResolvedModel,
    prompt: Prompt | None,
    registry: Registry,
    backends: Sequence[str],
    reference: Path | None = None,
    tolerance: float | None = None,
) -> list[Comparison]:
    """``model`` on each of ``backends`` against ``reference``; without one, on the later backends against the first.

    ``reference`` is a Hugging Face directory, or that of a trace, whose tokens are taken where ``prompt`` is None.
    Raises UsageError where something is not given, ComparisonError where the two are not of one model and prompt, and
    what ``trace_model``, ``trace_reference`` and ``load_trace`` raise.
    """
    saved = load_trace(reference) if reference is not None and is_trace(reference) else None
    if prompt is None and saved is None:
        raise UsageError("give the prompt as one of -p TEXT and --tokens IDS")
    given = saved.tokens if saved and prompt is None else prompt or ""
    if reference is None and len(backends) < 2:
        raise UsageError("give --reference, or two backends such as --backend cpu,ggml")
    if reference is not None and saved is None:
        require_transformers()
    first, *others = (
        trace_model(model, given, registry, name, digest=bool(saved and saved.digest)) for name in backends
    )
    if reference is None:
        return [compare(first, other, tolerance) for other in others]
    expected = saved or _run_reference(reference, first, registry)
    return [compare(expected, trace, tolerance) for trace in (first, *others)]


def _run_reference(directory: Path, model: Trace, registry: Registry) -> Trace:
    facts = read_facts(directory, registry)
    check_comparable(facts.architecture, facts.vocabulary, facts.layers, str(directory), model)
    return trace_reference(directory, model.tokens, registry)
