"""Measuring how fast a model runs: what is measured, worker processes that do it, and medians in turns."""
