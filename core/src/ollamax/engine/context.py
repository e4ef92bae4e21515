"""How many tokens of context a model is loaded with."""

from __future__ import annotations

from ollamax.engine.options import Options
from ollamax.errors import OptionError
from ollamax.gguf import Metadata

_DEFAULT = 4096


def context_length(config: Metadata, options: Options) -> int:
    """``num_ctx``, or by default what the model was trained for, 4096 at most; raises OptionError where it is more."""
    trained = trained_length(config)
    if options.num_ctx > trained:
        raise OptionError(f"num_ctx is {options.num_ctx}, but {config.origin} was trained for {trained} tokens at most")
    return options.num_ctx or min(trained, _DEFAULT)


def trained_length(config: Metadata) -> int:
    """Tokens of context that the model was trained for; raises what Metadata raises for a file that does not say."""
    return config.integer(f"{config.string('general.architecture')}.context_length", minimum=1)
