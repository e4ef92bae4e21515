"""``ollamax`` with a model that repeats what it hears; run as a script by tests that need a real terminal.

A message with "forever" is answered without end, one with "silence" by waiting without a word.
"""

import sys
import time
import types

import ollamax
from ollamax.cli.main import main
from ollamax.engine.chunk import Chunk, Stats
from ollamax.modelfile.modelfile import Modelfile


class EchoModel:
    sees_pictures = False
    modelfile = Modelfile(from_="echo")
    metadata = types.MappingProxyType({"general.architecture": "echo"})

    def chat(self, messages, *, stream, **options):
        said = messages[-1]["content"]
        if "silence" in said:
            print("not a word yet", file=sys.stderr)
            time.sleep(60)
        yield Chunk(f"[{len(messages)}] ")
        for word in said.replace("\n", " / ").split():
            yield Chunk(word + " ")
        while "forever" in said:
            time.sleep(0.01)
            yield Chunk("and on ")
        yield Chunk("", done=True, done_reason="stop", stats=Stats(total_seconds=1.0, eval_tokens=2, eval_seconds=1.0))

    def close(self):
        print("closed", file=sys.stderr)


vars(ollamax)["load"] = lambda name, **options: EchoModel()
sys.exit(main())
