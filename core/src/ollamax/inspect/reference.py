"""What transformers computes from a checkpoint, under the names that the converter's rename table gives its modules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ollamax.convert.base import Converter
from ollamax.engine.source import open_converter, open_source
from ollamax.errors import ComparisonError, one_line
from ollamax.inspect.module_names import ModuleNames, row_order
from ollamax.inspect.trace import Array, Trace, check_tokens, source_digest
from ollamax.plugins import Registry

MADE_BY = "transformers"
_ATTENTION = "ollamax_recorded"
_Recorder = Callable[[Any, Any, Any, Any], None]
_recorder: ContextVar[_Recorder | None] = ContextVar("what records attention", default=None)


@dataclass(frozen=True, slots=True)
class Facts:
    """What config.json says of a reference before it is run."""

    architecture: str
    vocabulary: int
    layers: int
    most: int


def require_transformers() -> None:
    """Raise ComparisonError that says what to install unless torch and transformers are there."""
    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise ComparisonError(
            f"a Hugging Face reference needs torch and transformers ({error}); "
            "try: pip install 'ollamax-core[reference]', or compare with a saved trace"
        ) from error


def read_facts(directory: Path, registry: Registry) -> Facts:
    """What the checkpoint in ``directory`` is; raises CheckpointError and ConversionError."""
    checkpoint, converter = open_converter(directory, registry)
    checkpoint.close()
    keys, family = converter.hyper_parameters(), converter.architecture
    rows, layers = converter.embedding_rows(), keys.get(f"{family}.block_count", 0)
    return Facts(family, rows, layers, keys.get(f"{family}.context_length", 1 << 31))


def trace_reference(directory: Path, tokens: Sequence[int], registry: Registry, *, digest: bool = False) -> Trace:
    """What transformers computes for ``tokens`` in float32, whatever type the checkpoint has.

    ``query`` and ``key`` of attention are there for models that use transformers' attention interface. Rows of
    projections that the converter reorders are in the order of GGUF. Raises ComparisonError where transformers is not
    installed or cannot run the checkpoint, UsageError for tokens that it cannot read, and what ``read_facts`` does.
    """
    require_transformers()
    facts = read_facts(directory, registry)
    ids = check_tokens(tokens, facts.vocabulary, facts.most, str(directory))
    checkpoint, converter = open_converter(directory, registry)
    checkpoint.close()
    try:
        model = _load(directory)
        recording = _Recording(ModuleNames(model, converter), converter)
        tensors = recording.run(model, ids)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, ImportError) as error:
        problem = one_line(f"{type(error).__name__}: {error}", 300)
        raise ComparisonError(f"transformers cannot run {directory}: {problem}") from error
    taken = ""
    if digest:
        with closing(open_source(directory, registry)) as source:
            taken = source_digest(source)
    return Trace(
        model=str(directory),
        digest=taken,
        architecture=facts.architecture,
        made_by=MADE_BY,
        weights="F32",
        vocabulary=facts.vocabulary,
        layers=facts.layers,
        tokens=ids,
        tensors=tensors,
        modules=recording.names.modules,
    )


def _load(directory: Path) -> Any:
    import torch
    import transformers
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

    transformers.AttentionInterface.register(_ATTENTION, _attend)
    transformers.AttentionMaskInterface.register(_ATTENTION, ALL_MASK_ATTENTION_FUNCTIONS["eager"])
    make = partial(
        transformers.AutoModelForCausalLM.from_pretrained,
        directory,
        dtype=torch.float32,
        local_files_only=True,
        output_loading_info=True,
    )
    with _quiet(transformers):
        try:
            model, report = make(attn_implementation=_ATTENTION)
        except ValueError:
            # A model that does not use the attention interface runs its own; query and key are not seen then.
            model, report = make(attn_implementation="eager")
    if lacking := sorted(report["missing_keys"]):
        # It would go on with random values.
        raise ValueError(f"the checkpoint lacks {', '.join(lacking)}")
    return model.eval()


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Without progress bars and advice on standard error."""
    logging = transformers.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _attend(module: Any, query: Any, key: Any, *values: Any, **options: Any) -> Any:
    """The model's own plain attention, seen by the recorder."""
    import sys

    result = sys.modules[type(module).__module__].eager_attention_forward(module, query, key, *values, **options)
    if recorder := _recorder.get():
        recorder(module, query, key, result[0])
    return result


class _Recording:
    """The tensors of one run, by name, in the order in which they are done."""

    def __init__(self, names: ModuleNames, converter: Converter) -> None:
        self.names, self._converter = names, converter
        self._tensors: dict[str, Array] = {}
        self._held: dict[tuple[int, int], Any] = {}

    def run(self, model: Any, tokens: Sequence[int]) -> dict[str, Array]:
        """Every named tensor of the model for ``tokens``."""
        import torch

        paths = {module: path for path, module in model.named_modules()}
        hooks = []
        for module, path in paths.items():
            if name := self.names.results.get(path):
                hooks.append(module.register_forward_hook(self._result_hook(name)))
            if name := self.names.weighted.get(path):
                hooks.append(module.register_forward_pre_hook(self._input_hook(name)))
        token = _recorder.set(lambda module, *parts: self._attention(paths[module], *parts))
        try:
            with torch.no_grad():
                logits = model(torch.tensor([list(tokens)]), use_cache=False).logits
        finally:
            _recorder.reset(token)
            for hook in hooks:
                hook.remove()
        # As for our own models: the result is called logits, whichever module made it.
        if (output := self._known(logits)) is not None:
            self._tensors = {name: value for name, value in self._tensors.items() if name != output}
        self._tensors["logits"] = logits[0].numpy()
        return self._tensors

    def _result_hook(self, name: str) -> Callable[..., None]:
        def hook(_module: Any, _inputs: Any, result: Any) -> None:
            tensor, first = result[0] if isinstance(result, tuple) else result, 0
            for part, rows in self.names.parts.get(name, {name: tensor.shape[-1]}).items():
                self._add(part, tensor[..., first : first + rows], row=f"{part}.weight")
                first += rows

        return hook

    def _input_hook(self, name: str) -> Callable[..., None]:
        def hook(_module: Any, inputs: Any) -> None:
            if inputs and inputs[0].is_floating_point() and self._known(inputs[0]) is None:
                self._add(f"{name}.input", inputs[0])

        return hook

    def _attention(self, path: str, query: Any, key: Any, result: Any) -> None:
        block = self.names.block(path)
        if block:
            # (1, heads, T, width) in transformers, (T, heads, width) here.
            self._add(f"{block}.query", query.transpose(1, 2), row=f"{block}.attn_q.weight")
            self._add(f"{block}.key", key.transpose(1, 2), row=f"{block}.attn_k.weight")
            self._add(f"{block}.attention", result)

    def _known(self, tensor: Any) -> str | None:
        found: tuple[str, Any] | None = self._held.get((tensor.data_ptr(), tensor.numel()))
        return found[0] if found else None

    def _add(self, name: str, tensor: Any, row: str = "") -> None:
        """Take ``tensor (1, T, ...)``; ``row`` is the weight whose rows its last axes follow."""
        count = sum(key.partition("#")[0] == name for key in self._tensors) + 1
        name = name if count == 1 else f"{name}#{count}"
        # Held, so that no later tensor has its address.
        self._held[tensor.data_ptr(), tensor.numel()] = (name, tensor)
        value = np.array(tensor[0].numpy(), np.float32)
        flat = value.reshape(len(value), -1)
        order = row_order(self._converter, row, flat.shape[1]) if row else None
        self._tensors[name] = value if order is None else flat[:, order].reshape(value.shape)
