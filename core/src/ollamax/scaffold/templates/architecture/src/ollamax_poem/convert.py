"""PoemForCausalLM checkpoints to GGUF."""

from __future__ import annotations

from ollamax.convert.decoder import DecoderConverter


class PoemConverter(DecoderConverter):
    """Converts PoemForCausalLM: grouped heads, tied and untied output.

    The base class knows the usual names. Add to ``rename`` what your checkpoint calls otherwise, to
    ``hyper_parameters`` what else the model reads, and to ``biased`` the projections that have a bias.
    """

    checkpoints = ("PoemForCausalLM",)
    architecture = "poem"
