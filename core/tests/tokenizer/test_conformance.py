"""The standard tokenizers do what every tokenizer must do."""

import pytest

from ollamax.testing.tokenizer_suite import TokenizerSuite, byte_level_metadata
from ollamax.tokenizer.pretokenizers import PRE_TOKENIZERS

PRE = [kind.names[0] for kind in PRE_TOKENIZERS]


class TestLlama3(TokenizerSuite):
    pre = "llama-bpe"
    pieces = {"it's 12345 lines": ["it", "'s", " ", "123", "45", " lines"]}


class TestQwen2(TokenizerSuite):
    pre = "qwen2"
    pieces = {"it's 123 lines": ["it", "'s", " ", "1", "2", "3", " lines"]}


class TestByteLevel(TokenizerSuite):
    @pytest.fixture(params=PRE)
    def keys(self, request):
        return byte_level_metadata(request.param)


SPM = {
    "tokenizer.ggml.model": "llama",
    "tokenizer.ggml.tokens": ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581"],
    "tokenizer.ggml.scores": [0.0] * 259 + [-1.0],
    "tokenizer.ggml.token_type": [2, 3, 3] + [6] * 256 + [1],
    "tokenizer.ggml.bos_token_id": 1,
    "tokenizer.ggml.eos_token_id": 2,
    "tokenizer.ggml.add_space_prefix": False,
}


class TestSPM(TokenizerSuite):
    metadata = SPM
