"""Prompt templates: Go templates of Modelfiles, Jinja templates of model files, and plain joining."""

from ollamax.template.base import Template
from ollamax.template.choice import choose_template

__all__ = ["Template", "choose_template"]
