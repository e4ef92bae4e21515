"""The texts whose ids a converted tokenizer is tried on: whatever tokenizers are known to disagree about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

SAMPLE_TEXTS: tuple[str, ...] = (
    "",
    " ",
    "a",
    "Hello, world! The quick brown fox jumps over the lazy dog.",
    " one space before, one behind ",
    "   three before, three behind   ",
    "two  three   four    and eight        spaces",
    "\n",
    " \n\n \n\n\n",
    "\ta tab\t\ttwo tabs \t and a blank\t",
    "lines\nof\r\nall\rkinds\n\n\nand blanks before \n  one",
    "no-break\u00a0space, thin\u2009space, ideographic\u3000space, zero\u200bwidth, mark\ufeff",
    "0 1 12 123 1234 12345 123456 1234567890 3.14159 -1e-9 1,000,000 ½ ² ٣٤٥ Ⅷ",
    "I'm you're he'll she'd we've isn't it's O'NEIL'S DON'T THEY'LL ’twas it’s 'tis",
    "camelCase snake_case SCREAMING_CASE kebab-case HTTPServer2Go x86_64",
    "def f(x: int) -> int:\n    if x >= 10:\n        return x ** 2  # square\n\n\treturn {'a': [1, 2]}[x]\n",
    '<div class="a">&amp;</div> // /* */ #include <stdio.h> && || != == => :: ;; \\n $x @y ~/.config/*',
    "!!! ??? ... --- === *** ### ___ ((( ))) [[ ]] {{ }} << >> \"\" '' `` “” ‘’ „“ «» – — …",
    "https://example.org/a/b?c=d&e=%20f#g user@example.org C:\\Users\\x /usr/bin",
    "Der Bär läuft über die Straße. ÄÖÜ ẞ façade naïve Ångström Łódź İstanbul ǅ",
    "e\u0301 o\u0308 n\u0303 A\u030a \u1e9b\u0323 q\u0307\u0323 \u212b \ufb01 a\u0300\u0301\u0302\u0303",
    "Привет, мир! Съешь же ещё этих мягких французских булок. Ўзбекистон",
    "Γειά σου Κόσμε, ἄνθρωπος. שלום עולם שָׁלוֹם",
    "مرحبا بالعالم، السَّلَامُ عَلَيْكُم ۱۲۳ سلام‌ها",
    "नमस्ते दुनिया क्षत्रिय १२३ வணக்கம் తెలుగు ಕನ್ನಡ বাংলা",
    "สวัสดีชาวโลก ကမ္ဘာ ជំរាបសួរ ក់ ລາວ བོད་ཡིག",
    "你好，世界！我们想要苹果。繁體字 𠮷野家 〇一二三",
    "こんにちは世界 カタカナ ｶﾀｶﾅ ーー 안녕하세요 세계 \u1112\u1161\u11ab",
    "አማርኛ ქართული Հայերեն ᏣᎳᎩ ᠮᠣᠩᠭᠣᠯ 𒀀𒁀 𐍈 𝔘𝔫𝔦",
    "🦙🙂❤️👍🏽👩‍🚀👨‍👩‍👧‍👦🏳️‍🌈🇩🇪🇯🇵1️⃣☃ ✈︎ a🦙b",
    "▁ ▁a a▁b ▁▁ Ġ Ċ Ã© <0x0A> <0xFF> [UNK] [PAD1]",
    "\x01\x1c\x1f\x7f\x85\u00ad\u2028\u2029\ue000\ufffd\U0010ffff",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "zq xj qz vwx kjhgfd asdfghjkl Pneumonoultramicroscopicsilicovolcanoconiosis",
)

# Thousands of reserved tokens that are all alike would only take time.
_MOST_TOKENS = 128


def sample_texts(tokens: Sequence[str]) -> Iterator[str]:
    """``SAMPLE_TEXTS``, and one text around each of ``tokens``: of more than 128, the first and the last 64."""
    yield from SAMPLE_TEXTS
    half = _MOST_TOKENS // 2
    for token in tokens if len(tokens) <= _MOST_TOKENS else [*tokens[:half], *tokens[-half:]]:
        yield f"{token}at the start,inside{token}{token}it {token} between blanks\n{token}"
