"""The model beside what transformers computed once: `golden` was written by `ollamax trace DIR --reference --save`."""

import json
from pathlib import Path

from random_checkpoint import save_random_checkpoint
from small_tokenizer import LLAMA3_SPLIT

from ollamax.cli.main import main

GOLDEN = Path(__file__).parent / "golden"


def test_every_tensor_is_that_of_transformers(tmp_path, capsys):
    directory = save_random_checkpoint(tmp_path / "hf", "Llama", LLAMA3_SPLIT)
    assert main(["compare", str(directory), "--reference", str(GOLDEN), "--backend", "cpu", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    # The checkpoint is random, but always the same.
    assert found["same_weights"] is True
    assert (found["reference"], found["uncompared"], len(found["rows"])) == ("transformers", [], 48)
