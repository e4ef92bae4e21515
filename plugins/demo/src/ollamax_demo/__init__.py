"""A small trained story model, bundled."""
