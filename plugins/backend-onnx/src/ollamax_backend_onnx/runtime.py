"""ONNX Runtime itself: which providers it has here, and sessions."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ollamax.errors import BackendError, one_line

if TYPE_CHECKING:
    from ollamax_backend_onnx.builder import Builder

PROCESSOR = "CPUExecutionProvider"
_SUFFIX = "ExecutionProvider"
_REMOTE = "AzureExecutionProvider"  # asks a service in the network; it runs no operations


def runtime() -> Any:
    """The module ``onnxruntime``; raises BackendError where it cannot be loaded.

    Wheels from 1.29 on tell their makers of every use when they are first imported, and keep an id of the device below
    the home directory, unless the environment says otherwise; here it does where the user said nothing.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except Exception as error:
        raise _unusable(error) from error
    return onnxruntime


def check_onnx() -> None:
    """Raise BackendError where ``onnx``, which makes models and takes twice as long to load, cannot be."""
    try:
        import onnx  # noqa: F401 - whether it can be
    except Exception as error:
        raise _unusable(error) from error


def _unusable(error: Exception) -> BackendError:
    return BackendError(
        f"ONNX Runtime cannot be loaded ({one_line(str(error), 200)}); "
        "try: pip install --force-reinstall onnxruntime onnx"
    )


def providers() -> dict[str, str]:
    """What the installed runtime can compute on: short names, such as cpu or cuda, and the providers' own."""
    available = [name for name in runtime().get_available_providers() if name != _REMOTE]
    return {name.removesuffix(_SUFFIX).lower(): name for name in available}


def open_session(builder: Builder, provider: str, threads: int) -> tuple[Any, list[Any]]:
    """A session that uses the arrays of ``builder.large`` where they lie, and what must live as long as it does.

    The files that the model names for other weights are mapped while the runtime takes them over. Raises BackendError
    where it refuses the model.
    """
    onnxruntime, model = runtime(), builder.model().SerializeToString()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.enable_mem_pattern = False  # a plan for every size that was ever run would pile up
    options.log_severity_level = 4  # what it logs as an error it raises too
    options.add_session_config_entry("session.force_spinning_stop", "1")
    held = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in builder.large.values()]
    for name, value in zip(builder.large, held, strict=True):
        options.add_initializer(name, value)
    directory = str(builder.weights.directory or Path(__file__).resolve().parent)
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", directory)
    try:
        session = onnxruntime.InferenceSession(model, options, list(dict.fromkeys([provider, PROCESSOR])))
    except Exception as error:
        raise BackendError(f"backend onnx cannot run {builder.graph.name}: {one_line(str(error), 300)}") from error
    if session.get_providers()[0] != provider:  # the runtime goes on without one that does not start
        raise BackendError(f"backend onnx: {provider} does not start here; see what it needs, or take device cpu")
    return session, held
