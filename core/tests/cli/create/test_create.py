"""``ollamax create`` from every kind of FROM, with an architecture of our own, and all that must leave no trace."""

import errno
import json

import numpy as np
import pytest
import safetensors.numpy
from toy_model import DIM, VOCAB, blob, embedding, fails, run, save_gguf

from ollamax.cli.main import main
from ollamax.engine import create as create_module
from ollamax.ml.dtype import quantize
from ollamax.plugins import BundledModel
from ollamax.store.blobs import HashingSink
from ollamax.tokenizer.bpe import BPE
from ollamax.types import DType, Message


def test_a_directory_is_converted(work, checkpoint, store, capsys):
    text = 'FROM ./hf\nPARAMETER top_k 5\nPARAMETER stop a\nPARAMETER stop "b c"\nSYSTEM Hi.\nTEMPLATE {{ .Prompt }}\n'
    assert run(work, text + "LICENSE L1\nLICENSE L2\nMESSAGE user hello\nMESSAGE assistant yes\n") == 0
    assert capsys.readouterr().out == "created mine:latest\n"
    model = store.get("mine")
    assert model.params == {"top_k": 5, "stop": ["a", "b c"]}
    assert (model.system, model.template, model.licenses) == ("Hi.", "{{ .Prompt }}", ["L1", "L2"])
    assert model.messages == [Message("user", "hello"), Message("assistant", "yes")]
    wanted = {"model_family": "toy", "model_type": "16K", "file_type": "F32", "model_format": "gguf"}
    assert wanted.items() <= model.config.items()
    with blob(model) as file:
        assert file.metadata["general.architecture"] == "toy"
        assert file.tensor_bytes("token_embd.weight").tobytes() == embedding().tobytes()
        assert len(file.metadata["tokenizer.ggml.tokens"]) == VOCAB


@pytest.mark.parametrize("source", ["hf", "x.gguf", "stored"])
def test_quantize(work, checkpoint, store, source):
    save_gguf(work / "x.gguf")
    assert run(work, "FROM ./x.gguf\nSYSTEM Base.", name="stored") == 0
    assert run(work, f"FROM {source}", "--quantize", "q8_0") == 0
    model = store.get("mine")
    assert model.config["file_type"] == "Q8_0"
    with blob(model) as file:
        assert file.tensors["token_embd.weight"].dtype == DType.Q8_0
        assert file.tensors["output_norm.weight"].dtype == DType.F32
        assert file.tensor_bytes("token_embd.weight").tobytes() == quantize(embedding(), DType.Q8_0).tobytes()
        assert file.metadata["general.file_type"] == 7
        if source != "hf":
            assert file.typed_metadata["toy.context_length"].dtype == np.uint64
    assert model.system == ("Base." if source == "stored" else None)


def test_a_gguf_file_is_copied_as_it_is(work, store):
    path = save_gguf(work / "x.gguf")
    data = path.read_bytes()
    assert run(work, f"FROM {path}") == 0
    path.write_bytes(b"gone")
    assert store.get("mine").model_path.read_bytes() == data


def test_a_stored_model_shares_its_blob_and_its_settings(work, store):
    save_gguf(work / "x.gguf")
    base = "FROM ./x.gguf\nSYSTEM Base.\nTEMPLATE {{ .Prompt }}\nPARAMETER top_k 5\nPARAMETER stop a\nLICENSE L1\n"
    assert run(work, base + "PARAMETER num_predict 9\nMESSAGE user one", name="base") == 0
    assert run(work, "FROM base\nSYSTEM Mine.\nPARAMETER stop b\nPARAMETER max_tokens 1\nLICENSE L2") == 0
    model, origin = store.get("mine"), store.get("base")
    assert model.model_path == origin.model_path
    assert model.params == {"top_k": 5, "stop": ["b"], "num_predict": 1}
    assert (model.system, model.template, model.licenses) == ("Mine.", "{{ .Prompt }}", ["L1", "L2"])
    assert model.messages == [Message("user", "one")]
    assert origin.system == "Base."


def test_a_model_may_be_built_on_itself(work, store):
    save_gguf(work / "x.gguf")
    assert run(work, "FROM ./x.gguf\nSYSTEM One.") == 0
    assert run(work, "FROM mine\nPARAMETER top_k 3") == 0
    assert (store.get("mine").system, store.get("mine").params) == ("One.", {"top_k": 3})


def test_a_bundled_model(work, store, registry):
    path = save_gguf(work / "bundled.gguf")
    registry.models["tale"] = BundledModel("tale", path, "", "SYSTEM Tell.\nPARAMETER top_k 7\n")
    assert run(work, "FROM tale\nPARAMETER seed 2") == 0
    assert store.get("mine").system == "Tell."
    assert store.get("mine").params == {"top_k": 7, "seed": 2}
    assert store.get("mine").model_path.read_bytes() == path.read_bytes()


def test_modelfile_in_the_current_directory(work, store, monkeypatch):
    save_gguf(work / "x.gguf")
    (work / "Modelfile").write_text("FROM x.gguf")
    monkeypatch.chdir(work)
    assert main(["create", "space/mine:v1"]) == 0
    assert store.get("space/mine:v1").system is None


def test_progress_goes_up_to_the_total(work, checkpoint, store):
    from ollamax.modelfile import parse_modelfile

    seen = []
    modelfile = parse_modelfile("FROM hf")
    create_module.create("mine", modelfile, work, "F16", lambda done, total: seen.append((done, total)))
    total = VOCAB * DIM * 2 + DIM * 4
    assert seen == sorted(seen)
    assert seen[-1] == (total, total)


# What does not, and leaves the store as it was ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "arguments", "status", "problem"),
    [
        ("FROM ./absent.gguf", (), 1, "FROM ./absent.gguf: there is no file or directory"),
        ("FROM absent.gguf", (), 1, "there is no file or directory"),
        ("FROM ~nobody-here/x", (), 1, "there is no file or directory"),
        ("FROM nothing", (), 1, "model 'nothing' not found"),
        ("FROM a b", (), 2, "not valid"),
        ("FROM " + "x" * 5000, (), 2, "not valid"),
        ("SYSTEM hi", (), 1, "FROM"),
        ("FROM settled.gguf\nPARAMETER topk 3", (), 2, "did you mean top_k?"),
        ("FROM settled.gguf\nPARAMETER num_predict 1\nPARAMETER max_tokens 2", (), 2, "given twice"),
        ("FROM settled.gguf\nPARAMETER main_gpu 3", (), 2, "main_gpu is not supported"),
        ("FROM settled.gguf\nPARAMETER top_p 3", (), 2, "top_p"),
        (
            "FROM settled.gguf\n\nPARAMETER temperature hot",
            (),
            2,
            "Modelfile, line 3: option temperature: 'hot' is",
        ),
        ("FROM settled.gguf\nPARAMETER top_k x\nPARAMETER top_k y", (), 2, "Modelfile, line 3: option top_k: 'y' is"),
        ('FROM settled.gguf\nPARAMETER stop a\nPARAMETER stop ""', (), 2, "Modelfile, line 3: option stop: ''"),
        ("FROM settled.gguf\nPARAMETER max_tokens 2\nPARAMETER num_predict 1", (), 2, "line 3: option num_predict is"),
        ("FROM settled.gguf\nPARAMETER topk 1", (), 2, "Modelfile, line 2: unknown option 'topk'; did you"),
        ("FROM settled.gguf\nPARAMETER num_ctx 9", (), 2, "num_ctx is 9, but"),
        ("FROM settled.gguf\nTEMPLATE {{ .Prompt", (), 1, "template"),
        ("FROM settled.gguf\nTEMPLATE {{ index .Messages 9 }}", (), 1, "the template renders no chat"),
        ("FROM settled.gguf\nADAPTER x", (), 1, "line 2"),
        ("FROM settled.gguf\nFORM x", (), 1, "line 2"),
        ("FROM settled.gguf", ("--quantize", "Q4_7"), 2, "the types that can be written are F32"),
        ("FROM settled.gguf", ("--quantise", "Q8_0"), 2, "--quantise"),
        (".", (), 1, "line 1"),
        ("FROM .", (), 1, "looked for a Hugging Face config.json"),
        ("FROM Modelfile", (), 1, "not a GGUF file"),
    ],
)
def test_bad_modelfiles(work, settled, capsys, text, arguments, status, problem):
    fails(capsys, status, problem, run(work, text, *arguments))
    settled()


@pytest.mark.parametrize("name", ["", "a b", "../x", "x:y:z", "a/b/c/d"])
def test_bad_names(work, settled, capsys, name):
    fails(capsys, 2, "not valid", run(work, "FROM settled.gguf", name=name))
    settled()


def test_a_missing_modelfile(work, settled, capsys):
    fails(capsys, 1, "cannot be read", main(["create", "x", "-f", str(work / "absent")]))
    settled()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"general__architecture": "alien"}, "architecture 'alien' is not installed (installed: toy)"),
        ({"general__architecture": 3}, "general.architecture"),
        ({"tokenizer__ggml__pre": "weird"}, "weird"),
        ({"tokenizer__ggml__model": "weird"}, "weird"),
        ({"tokenizer__ggml__merges": ["zz qq"]}, "merges do not fit"),
        ({"tokenizer__chat_template": "{% if"}, "template"),
        ({"tokenizer__chat_template": "{{ raise_exception('never') }}"}, "renders no chat, be it of one message or"),
        ({"split__count": 3}, "one part of a split model"),
        ({"tensors": ()}, "missing: token_embd.weight"),
        ({"tensors": ("token_embd.weight", "more.weight", "other.weight")}, "unused: more.weight, other.weight"),
    ],
)
def test_files_that_would_not_run(work, settled, capsys, changes, problem):
    save_gguf(work / "bad.gguf", **changes)
    fails(capsys, 1, problem, run(work, "FROM bad.gguf"))
    settled()


def test_a_truncated_file(work, settled, capsys):
    data = save_gguf(work / "bad.gguf").read_bytes()
    (work / "bad.gguf").write_bytes(data[:-100])
    fails(capsys, 1, "bad.gguf", run(work, "FROM bad.gguf"))
    settled()


def test_a_quantised_file_is_not_quantised_again(work, settled, capsys):
    save_gguf(work / "small.gguf", DType.Q4_0)
    problem = "1 weights are Q4_0 already, such as token_embd.weight, and quantizing them to Q8_0 adds to their error"
    fails(capsys, 1, problem, run(work, "FROM small.gguf", "--quantize", "Q8_0"))
    settled()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"architectures": ["AlienForCausalLM"]}, "no converter for checkpoints of 'AlienForCausalLM'"),
        ({"architectures": ["StrangerForCausalLM"]}, "architecture 'stranger' is not installed"),
        ({"vocab_size": None}, "vocab_size is missing"),
        ({"vocab_size": 100}, "100"),
        ({"quantization_config": {"quant_method": "awq"}}, "'awq' are not supported"),
    ],
)
def test_configs_that_cannot_be_converted(work, checkpoint, settled, capsys, changes, problem):
    config = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps({**config, **changes}))
    fails(capsys, 1, problem, run(work, "FROM hf"))
    settled()


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
@pytest.mark.parametrize("length", [0, 100])
def test_files_that_are_cut_short(work, checkpoint, settled, capsys, name, length):
    data = (checkpoint / name).read_bytes()
    (checkpoint / name).write_bytes(data[: min(length, len(data) - 1)])
    fails(capsys, 1, name, run(work, "FROM hf"))
    settled()


class Backwards(BPE):
    """A package's tokenizer that takes over byte-level vocabularies, and gets them wrong."""

    def encode_plain(self, text, start):
        return super().encode_plain(text, start)[::-1]


@pytest.mark.parametrize("arguments", [(), ("--dry-run",)])
def test_a_tokenizer_that_gives_other_ids(work, checkpoint, settled, registry, capsys, monkeypatch, arguments):
    monkeypatch.setattr("ollamax.engine.dry_run.get_registry", lambda: registry)
    registry.tokenizers.insert(0, Backwards)
    assert run(work, "FROM hf", *arguments) == 1
    problem = "hf/tokenizer.json, ids: the text 'Hello, world! The quick brown fox jum...' becomes other ids after"
    first, *further = capsys.readouterr().err.splitlines()
    assert problem in first
    assert "conversion: 13 ('.') at position 0, not 39 ('H')" in first
    assert len(further) == len(arguments)
    settled()


class Break:
    """Fails in the middle of what is written to the store."""

    def __init__(self, monkeypatch, error, after):
        self.left, write = after, HashingSink.write

        def failing(sink, data):
            self.left -= memoryview(data).nbytes
            if self.left < 0:
                raise error
            return write(sink, data)

        monkeypatch.setattr(HashingSink, "write", failing)


@pytest.mark.parametrize("source", ["hf", "settled.gguf"])
@pytest.mark.parametrize("arguments", [(), ("-q", "F16")])
@pytest.mark.parametrize("after", [0, 20_000])
def test_a_full_disk(work, checkpoint, settled, capsys, monkeypatch, source, arguments, after):
    Break(monkeypatch, OSError(errno.ENOSPC, "No space left on device"), after)
    fails(capsys, 1, "the disk is full", run(work, f"FROM {source}\nSYSTEM Second.", *arguments))
    settled()


@pytest.mark.parametrize("source", ["hf", "settled.gguf", "mine"])
def test_ctrl_c(work, checkpoint, settled, capsys, monkeypatch, source):
    Break(monkeypatch, KeyboardInterrupt(), 5)
    fails(capsys, 130, "creating mine was stopped by Ctrl-C", run(work, f"FROM {source}\nSYSTEM Second."))
    settled()
    monkeypatch.undo()


def test_ctrl_c_while_a_tensor_is_made(work, checkpoint, settled, capsys, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("ollamax.convert.quantize.Quantized.tensor_bytes", interrupt)
    fails(capsys, 130, "creating mine was stopped by Ctrl-C", run(work, "FROM hf", "-q", "Q8_0"))
    settled()


@pytest.mark.parametrize("arguments", [(), ("--quantize", "Q8_0")])
def test_nan_is_a_warning_that_names_the_tensor(work, checkpoint, store, capsys, arguments):
    values = embedding()
    values[3, 5] = np.nan
    tensors = {"embed.weight": values, "norm.weight": np.ones(DIM, np.float32)}
    safetensors.numpy.save_file(tensors, checkpoint / "model.safetensors")
    assert run(work, "FROM hf", *arguments) == 0
    errors = capsys.readouterr().err.splitlines()
    assert errors == ["Warning: tensor token_embd.weight holds NaN; what the model computes with it will be NaN too"]
    assert store.find("mine")


def test_few_bits_are_quantised_again_only_on_request(work, store, capsys):
    save_gguf(work / "x.gguf", DType.Q4_0)
    text = "FROM ./x.gguf"
    fails(capsys, 1, "add --allow-requantize", run(work, text, "--quantize", "Q8_0"))
    fails(capsys, 2, "belongs to --quantize", run(work, text, "--allow-requantize"))
    assert run(work, text, "--quantize", "Q8_0", "--allow-requantize") == 0
    with blob(store.get("mine")) as file:
        assert file.tensors["token_embd.weight"].dtype == DType.Q8_0
