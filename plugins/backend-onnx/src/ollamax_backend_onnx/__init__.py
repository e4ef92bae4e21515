"""The ONNX Runtime backend: a graph becomes one model, which a session runs at any size."""
