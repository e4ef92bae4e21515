"""The pre-tokenizers of the field by their ``tokenizer.ggml.pre`` names.

Patterns are those of the models' own tokenizer.json; names, and which of them share a pattern, follow llama.cpp.
A pattern is listed where the two agree on what it matches.
"""

from __future__ import annotations

from ollamax.tokenizer.base import PreTokenizer

_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_WORD = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_SYMBOLS = r" ?[^\s\p{L}\p{N}]+[\r\n]*"
_LLAMA3 = rf"{_CONTRACTION}|{_WORD}|\p{{N}}{{1,3}}|{_SYMBOLS}|{_SPACES}"
# A word with its capitals first, then one that is all capitals; used by the o200k and tekken vocabularies.
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_CASED = (rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+", rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*")
_PATHS = r" ?[^\s\p{L}\p{N}]+[\r\n/]*"


class Llama3(PreTokenizer):
    """Llama 3: words, up to three digits, symbols, line ends."""

    names = (
        "llama-bpe",
        "llama3",
        "llama-v3",
        "falcon3",
        "falcon-h1",
        "pixtral",
        "midm-2.0",
        "lfm2",
        "jina-v5-nano",
    )
    patterns = (_LLAMA3,)
    ignore_merges = True
    add_bos = True


class Llama3Merging(PreTokenizer):
    """Llama 3's pattern in vocabularies that always merge."""

    names = ("smaug-bpe", "dbrx", "glm4", "chatglm-bpe")
    patterns = (_LLAMA3,)


class Qwen2(PreTokenizer):
    """As Llama 3, with single digits."""

    names = (
        "qwen2",
        "deepseek-r1-qwen",
        "stablelm2",
        "hunyuan",
        "megrez",
        "solar-open",
        "grok-2",
        "kormo",
        "f2llmv2",
    )
    patterns = (rf"{_CONTRACTION}|{_WORD}|\p{{N}}|{_SYMBOLS}|{_SPACES}",)


class Qwen35(PreTokenizer):
    """As Qwen2, with combining marks inside words."""

    names = ("qwen35",)
    patterns = (
        rf"{_CONTRACTION}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}"
        rf"| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{_SPACES}",
    )


class GPT2(PreTokenizer):
    """GPT-2: words, numbers and symbols, each with the space before it."""

    names = (
        "gpt-2",
        "phi-2",
        "mpt",
        "olmo",
        "jais",
        "exaone4",
        "a.x-4.0",
        "mellum",
        "gigachat",
        "trillion",
        "granite-docling",
    )
    patterns = (_GPT2,)


class StarCoder(PreTokenizer):
    """Single digits, then GPT-2."""

    names = (
        "starcoder",
        "refact",
        "command-r",
        "smollm",
        "codeshell",
        "exaone",
        "minerva-7b",
        "mellum2",
    )
    patterns = (r"\p{N}", _GPT2)


class GPT4o(PreTokenizer):
    """The o200k vocabularies: words split at their capitals."""

    names = ("gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2")
    patterns = (rf"{_CASED[0]}{_CONTRACTION}?|{_CASED[1]}{_CONTRACTION}?|\p{{N}}{{1,3}}|{_PATHS}|{_SPACES}",)


class Tekken(PreTokenizer):
    """Mistral's Tekken: words split at their capitals, single digits."""

    names = ("tekken",)
    patterns = (rf"{_CASED[0]}|{_CASED[1]}|\p{{N}}|{_PATHS}|{_SPACES}",)
    ignore_merges = True
    add_bos = True


class DeepSeekV3(PreTokenizer):
    """DeepSeek V3 and R1: up to three digits, runs of Chinese and kana, then words and symbols."""

    names = ("deepseek-v3", "hunyuan-dense", "joyai-llm")
    patterns = (
        r"\p{N}{1,3}",
        r"[一-龥぀-ゟ゠-ヿ]+",
        r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
        rf"| ?[\p{{P}}\p{{S}}]+[\r\n]*|{_SPACES}",
    )


class DeepSeekCoder(PreTokenizer):
    """DeepSeek Coder: line ends, words, punctuation, Chinese and Korean, single digits."""

    names = ("deepseek-coder",)
    patterns = (r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", r"[一-龥ࠀ-一가-퟿]+", r"\p{N}")


class Falcon(PreTokenizer):
    """Falcon: punctuation, GPT-2, then groups of three digits."""

    names = ("falcon",)
    patterns = (r"[\p{P}\$\+<=>\^~\|`]+", _GPT2, r"[0-9][0-9][0-9]")


class Default(PreTokenizer):
    """What files say that were converted before pre-tokenizers had names; never taken for an unknown name."""

    names = ("default",)
    patterns = (r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", r"[0-9][0-9][0-9]")


PRE_TOKENIZERS: tuple[type[PreTokenizer], ...] = (
    Llama3,
    Llama3Merging,
    Qwen2,
    Qwen35,
    GPT2,
    StarCoder,
    GPT4o,
    Tekken,
    DeepSeekV3,
    DeepSeekCoder,
    Falcon,
    Default,
)
