"""The engine: loads a model, runs it step by step, and turns its tokens into answers."""
