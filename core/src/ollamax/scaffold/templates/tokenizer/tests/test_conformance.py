"""The verse pre-tokenizer does what every tokenizer and every package must do."""

from ollamax.testing.plugin_suite import PluginSuite
from ollamax.testing.tokenizer_suite import TokenizerSuite


class TestVerse(TokenizerSuite):
    pre = "verse"
    pieces = {"twelve 12 lines, and more.": ["twelve", " ", "1", "2", " lines", ",", " and", " more", "."]}


class TestPackage(PluginSuite):
    package = "ollamax-tokenizer-verse"
