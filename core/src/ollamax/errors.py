"""Every error that a user can meet: one line that names the thing, what was expected and the way out."""

from __future__ import annotations


class OllamaxError(Exception):
    """Base of all expected errors; the command line prints its message and exits with ``exit_code``."""

    exit_code = 1


class UsageError(OllamaxError):
    """The call itself is wrong: an unknown option, a value out of range, a missing argument."""

    exit_code = 2


class StoppedError(OllamaxError):
    """Ctrl-C ended what had begun; nothing of it is left."""

    exit_code = 130


class FileFormatError(OllamaxError):
    """A file breaks its format.

    ``path`` is the file, ``where`` the key, tensor or part at fault, ``offset`` the byte position if known.
    """

    def __init__(self, path: object, problem: str, where: str | None = None, offset: int | None = None) -> None:
        self.path, self.problem, self.where, self.offset = str(path), problem, where, offset
        place = f", {where}" if where else ""
        at = f" at offset {offset}" if offset is not None else ""
        super().__init__(f"{path}{place}{at}: {problem}")


class GGUFError(FileFormatError):
    """A GGUF file is truncated, malformed or hostile."""


class CheckpointError(FileFormatError):
    """A Hugging Face directory or one of its files cannot be used."""


class TraceError(FileFormatError):
    """A saved trace is damaged."""


class OutputError(OllamaxError):
    """What was asked for cannot be written."""


class ComparisonError(OllamaxError):
    """Two computations part, or cannot be compared at all."""


class ModelNotFoundError(OllamaxError):
    """No model of that name in the store, and no such file or directory."""


class NameInvalidError(UsageError):
    """A model name or digest that is not one."""


class StoreError(OllamaxError):
    """The model store is damaged, locked or cannot be written."""


class ModelfileError(OllamaxError):
    """A Modelfile breaks its grammar; the message carries the line number."""


class TemplateError(OllamaxError):
    """A chat template is malformed, unsafe or fails on these messages."""


class OptionError(UsageError):
    """A model or generation option that does not exist, is not supported, or is out of range."""


class PluginError(OllamaxError):
    """A plugin failed and strict mode makes that fatal."""


class ArchitectureError(OllamaxError):
    """An architecture is not registered, or rejects the model's hyper-parameters."""


class BindingError(OllamaxError):
    """Tensors are missing, unused or misshapen; the message lists all of them."""


class ConversionError(OllamaxError):
    """A checkpoint cannot be converted."""


class TokenizerError(OllamaxError):
    """A tokenizer model or pre-tokenizer is unknown, or its vocabulary is unusable."""


class GraphError(OllamaxError):
    """A graph is ill-formed: shapes that do not fit, a state written twice, an op nobody can run."""


class BackendError(OllamaxError):
    """A backend cannot run here, or was given something that it cannot run."""


class ContextFullError(OllamaxError):
    """The context has no room for another token and may not slide."""


class ImageError(OllamaxError):
    """A picture is no picture, is damaged or too large, or has no place in the prompt."""


class SampleError(OllamaxError):
    """Sampling cannot choose a token, as when every logit is NaN."""


class BenchmarkError(OllamaxError):
    """A model cannot be measured: a worker process failed or ended."""


def one_line(text: str, longest: int = 2000) -> str:
    """``text`` as a message is shown: on one line of bounded length, without control characters.

    Files and plugins write into messages, and a terminal would obey what they write.
    """
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= longest else line[: longest - 3] + "..."
