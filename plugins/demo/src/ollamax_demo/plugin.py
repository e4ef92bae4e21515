"""Hook implementations of ollamax-plugin-demo."""

from __future__ import annotations

from pathlib import Path

from ollamax.plugins import BundledModel, hookimpl


@hookimpl
def ollamax_models() -> list[BundledModel]:
    """The model ``demo``, whose file lies beside this one."""
    return [
        BundledModel(
            name="demo",
            path=Path(__file__).with_name("demo.gguf"),
            description="Tells short stories; trained from scratch for ollamax",
            modelfile="PARAMETER temperature 0.7\nPARAMETER top_p 0.9\n",
        )
    ]
