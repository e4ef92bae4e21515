"""Looking into a model: what a file holds, what each layer computes, and where two computations part."""
