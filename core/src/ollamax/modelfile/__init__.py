"""The Modelfile: reading and writing the recipe from which ``ollamax create`` makes a model."""

from ollamax.modelfile.modelfile import Modelfile
from ollamax.modelfile.parser import load_modelfile, parse_modelfile

__all__ = ["Modelfile", "load_modelfile", "parse_modelfile"]
