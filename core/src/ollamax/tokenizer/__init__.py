"""Tokenizers: the contract, BPE and SentencePiece, and the way from a Hugging Face directory to GGUF keys."""

from ollamax.tokenizer.base import PreTokenizer, StreamDecoder, Tokenizer
from ollamax.tokenizer.registry import build_tokenizer

__all__ = ["PreTokenizer", "StreamDecoder", "Tokenizer", "build_tokenizer"]
