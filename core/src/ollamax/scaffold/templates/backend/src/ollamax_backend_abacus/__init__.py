"""The abacus backend."""
