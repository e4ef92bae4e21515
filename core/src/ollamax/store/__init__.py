"""The model store: named models on disk, in Ollama's layout of manifests and blobs."""

from ollamax.store.blobs import compiled_directory
from ollamax.store.manifest import Layer, Manifest, MediaType
from ollamax.store.model import StoredModel
from ollamax.store.name import ModelName
from ollamax.store.store import Store
from ollamax.store.transaction import Transaction

__all__ = ["Layer", "Manifest", "MediaType", "ModelName", "Store", "StoredModel", "Transaction", "compiled_directory"]
