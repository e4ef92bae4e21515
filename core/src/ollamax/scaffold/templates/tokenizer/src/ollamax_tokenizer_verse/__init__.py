"""The verse pre-tokenizer."""
