"""The mllama plugin does what every architecture must do, as far as it reads text, and every package."""

from mllama_shapes import CONFIG, PREFIXES, TEXT, checkpoint_shapes

from ollamax.testing.architecture_suite import ArchitectureSuite
from ollamax.testing.plugin_suite import PluginSuite
from ollamax.testing.random_checkpoint import RandomCheckpoint

TOKENS = 283  # of the kit's vocabulary


class TestMllama(ArchitectureSuite):
    checkpoint = RandomCheckpoint(
        {**CONFIG, "text_config": {**TEXT, "vocab_size": TOKENS}, "image_token_index": TOKENS},
        checkpoint_shapes(*PREFIXES, vocab=TOKENS),
    )


class TestPackage(PluginSuite):
    package = "ollamax-plugin-mllama"
