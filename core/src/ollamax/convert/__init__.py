"""From Hugging Face checkpoints to GGUF: the directory, the converter contract, conversion, quantisation."""
