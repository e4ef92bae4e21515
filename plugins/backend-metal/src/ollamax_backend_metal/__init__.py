"""The MLX backend: Apple's graphics processors, and wherever else MLX runs."""
