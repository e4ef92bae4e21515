"""The NumPy backend: core's reference with fast kernels laid over the hot ops."""
