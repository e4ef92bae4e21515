"""New packages: complete ones that work, from the examples in ``templates`` or from an installed architecture."""
