"""The mllama architecture: Llama 3.2 Vision."""
