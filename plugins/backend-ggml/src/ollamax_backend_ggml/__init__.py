"""The ggml backend: quantised matrices on the processor, through ggml-python."""
