"""Mllama through the library: from pictures and a prompt to logits and text, against transformers."""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_mllama import PICTURES, png, reference_inputs, reference_logits, reference_model

import ollamax
from ollamax.engine.model import Model
from ollamax.engine.source import open_source
from ollamax.errors import ContextFullError, ImageError, OptionError
from ollamax.gguf import write_gguf
from ollamax.plugins import get_registry

pytestmark = pytest.mark.reference

OTHER = png(70, 60, 3)


@pytest.fixture(scope="module")
def loaded(mllama_checkpoint: Path, backend: str) -> Iterator[Model]:
    with ollamax.load(mllama_checkpoint, backend=backend, num_batch=9, parallel=3, num_images=3) as model:
        yield model


@pytest.fixture
def model(loaded: Model) -> Model:
    for slot in range(3):
        loaded.runner.truncate(slot)
        loaded.runner.show(slot, ())
    loaded.logits([0])  # whatever the test before left is forgotten
    return loaded


def image_token(model: Model) -> int:
    (token,) = model.tokenizer.encode("<|image|>", add_bos=False)
    return token


def assert_close(actual: np.ndarray, expected: np.ndarray) -> None:
    written = expected.shape[-1]
    assert np.isneginf(actual[..., written:]).all()
    assert np.abs(actual[..., :written] - expected).max() <= 5e-4 * np.abs(expected).max()


def prompt(model: Model, pictures: int) -> list[int]:
    return model.tokenizer.encode("the cat sat" + "<|image|> on the mat" * pictures + " and then the cat ran")


@pytest.mark.parametrize("kind", PICTURES)
def test_logits_of_one_picture(kind: str, model: Model, mllama_checkpoint: Path) -> None:
    ids, pictures = prompt(model, 1), [PICTURES[kind]]
    assert_close(
        model.logits(ids, images=pictures), reference_logits(mllama_checkpoint, ids, pictures, image_token(model))
    )


@pytest.mark.parametrize("count", [0, 2, 3])
def test_logits_of_no_picture_and_of_several(count: int, model: Model, mllama_checkpoint: Path) -> None:
    ids, pictures = prompt(model, count), [PICTURES["tall"], OTHER, PICTURES["small"]][:count]
    assert_close(
        model.logits(ids, images=pictures), reference_logits(mllama_checkpoint, ids, pictures, image_token(model))
    )


def greedy(directory: Path, ids: Sequence[int], pictures: Sequence[bytes], token: int, count: int) -> list[int]:
    """What transformers generates."""
    import transformers

    config = transformers.GenerationConfig(max_new_tokens=count, do_sample=False, eos_token_id=None, pad_token_id=2)
    inputs = reference_inputs(directory, ids, pictures, token)
    return reference_model(directory).generate(**inputs, generation_config=config)[0, len(ids) :].tolist()


@pytest.mark.parametrize("pictures", [[], [PICTURES["wide"]], [OTHER, PICTURES["exactly-tiled"]]])
def test_same_greedy_tokens(pictures: list[bytes], model: Model, mllama_checkpoint: Path) -> None:
    ids = prompt(model, len(pictures))
    expected = greedy(mllama_checkpoint, ids, pictures, image_token(model), 16)
    chunks = list(model.generate(ids, images=pictures, max_tokens=16, temperature=0))
    tokens = [chunk.token for chunk in chunks if chunk.token is not None]
    assert tokens == (expected[: expected.index(1)] if 1 in expected else expected)


def test_pictures_stand_before_a_text_that_does_not_place_them(model: Model) -> None:
    token = image_token(model)
    ids = [token, token, *model.tokenizer.encode("the cat")]
    placed = list(model.generate(ids, images=[OTHER, PICTURES["tall"]], max_tokens=4, temperature=0))
    plain = list(model.generate("the cat", images=[OTHER, PICTURES["tall"]], max_tokens=4, temperature=0))
    assert [chunk.token for chunk in placed] == [chunk.token for chunk in plain]


def test_drafts_behind_pictures_change_nothing(model: Model) -> None:
    options: dict[str, Any] = {"images": [OTHER], "max_tokens": 30, "temperature": 0, "repeat_penalty": 0.5}
    plain, drafted = (list(model.generate("the cat the cat", draft_num_predict=most, **options)) for most in (0, 7))
    assert [chunk.token for chunk in drafted] == [chunk.token for chunk in plain]
    assert drafted[-1].stats is not None
    assert drafted[-1].stats.accepted_tokens > 0


def ask(model: Model, messages: list[dict[str, object]]) -> tuple[str, int, int]:
    """The answer, and how many tokens and pictures were computed for it."""
    tokens, pictures = model.runner.computed, model.runner.encoded
    reply = model.chat(messages, max_tokens=6, temperature=0, draft_num_predict=0)
    return reply.text, model.runner.computed - tokens, model.runner.encoded - pictures


def test_a_chat_keeps_its_picture_and_computes_only_what_is_new(model: Model, mllama_checkpoint: Path) -> None:
    chat: list[dict[str, object]] = [{"role": "user", "content": "the cat sat", "images": [PICTURES["wide"]]}]
    answer, first, encoded = ask(model, chat)
    assert encoded == 1
    chat += [{"role": "assistant", "content": answer}, {"role": "user", "content": "and the mat?"}]
    again, second, encoded = ask(model, chat)
    assert encoded == 0
    assert second < first + 12
    with ollamax.load(mllama_checkpoint, backend="cpu") as fresh:
        assert ask(fresh, chat)[0] == again


def test_another_picture_of_the_same_prompt_is_another_prompt(model: Model, mllama_checkpoint: Path) -> None:
    def question(*pictures: bytes) -> list[dict[str, object]]:
        return [{"role": "user", "content": "the cat sat", "images": list(pictures)}]

    length = ask(model, question(PICTURES["wide"]))[1]
    answers = {}
    for name, pictures in {"other": [OTHER], "both": [OTHER, PICTURES["wide"]], "none": []}.items():
        text, computed, _encoded = ask(model, question(*pictures))
        assert computed >= length - 7  # all of the prompt, whatever the answer's length
        answers[name] = text
    with ollamax.load(mllama_checkpoint, backend="cpu") as fresh:
        assert ask(fresh, question(OTHER, PICTURES["wide"]))[0] == answers["both"]
        assert ask(fresh, question())[0] == answers["none"]
        assert ask(fresh, question(OTHER))[0] == answers["other"]


def test_a_picture_that_a_chat_adds_is_encoded_alone(model: Model) -> None:
    chat: list[dict[str, object]] = [{"role": "user", "content": "the cat", "images": [PICTURES["wide"]]}]
    answer, *_ = ask(model, chat)
    chat += [{"role": "assistant", "content": answer}, {"role": "user", "content": "and this?", "images": [OTHER]}]
    assert ask(model, chat)[2] == 1


def test_sequences_with_and_without_pictures_side_by_side(model: Model) -> None:
    prompts = [prompt(model, 1), prompt(model, 0), prompt(model, 2)]
    pictures = [[PICTURES["tall"]], [], [OTHER, PICTURES["small"]]]
    alone = [model.logits([*ids, 7, 9], images=each)[-2:] for ids, each in zip(prompts, pictures, strict=True)]
    reader = model._pictures
    assert reader is not None
    for slot, (ids, each) in enumerate(zip(prompts, pictures, strict=True)):
        model.runner.show(slot, reader.find(ids, each))
        model.runner.prefill(slot, ids)
    together = [model.runner.decode([0, 1, 2], [token] * 3) for token in (7, 9)]
    written = np.isfinite(together[0][0])
    for slot in range(3):
        ours = np.stack([step[slot] for step in together])
        assert_close(ours, alone[slot][:, written])


def test_a_copied_sequence_has_its_pictures(model: Model) -> None:
    ids, reader = prompt(model, 2), model._pictures
    assert reader is not None
    whole = model.logits(ids, images=[OTHER, PICTURES["small"]])
    model.runner.show(2, reader.find(ids, [OTHER, PICTURES["small"]]))
    model.runner.prefill(2, ids[:-1])
    model.runner.show(1, reader.find(prompt(model, 1), [PICTURES["wide"]]))
    encoded = model.runner.encoded
    model.runner.copy(2, 1, len(ids) - 1)
    written = np.isfinite(whole[0])
    assert_close(model.runner.decode([1], ids[-1:]), whole[-1:][:, written])
    assert model.runner.encoded == encoded


def test_generation_goes_on_past_the_context(mllama_checkpoint: Path) -> None:
    with ollamax.load(mllama_checkpoint, backend="cpu", num_ctx=32) as model:
        chunks = list(
            model.generate(prompt(model, 1), images=[OTHER], max_tokens=40, temperature=1.5, seed=3, num_keep=2)
        )
        assert chunks[-1].done_reason == "length"
        assert len(prompt(model, 1)) + len(chunks) > 45


def test_pictures_may_be_paths(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(OTHER)
    ids = prompt(model, 2)
    assert np.array_equal(model.logits(ids, images=[path, OTHER]), model.logits(ids, images=[OTHER, str(path)]))


def test_a_file_gives_the_logits_of_its_checkpoint(
    model: Model, mllama_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ollamax.engine.create import create
    from ollamax.modelfile import Modelfile

    monkeypatch.setenv("OLLAMAX_MODELS", str(tmp_path))
    create("seer", Modelfile(from_=str(mllama_checkpoint)), tmp_path)
    ids = prompt(model, 1)
    with ollamax.load("seer", backend=model.backend.name, num_batch=9) as stored:
        assert np.array_equal(stored.logits(ids, images=[OTHER]), model.logits(ids, images=[OTHER]))


def with_clip_colours(source: Path, target: Path) -> Path:
    """The same checkpoint with the colours that a file of Ollama means."""
    shutil.copytree(source, target)
    settings = json.loads((target / "preprocessor_config.json").read_text())
    settings |= {
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
    }
    (target / "preprocessor_config.json").write_text(json.dumps(settings))
    return target


def paired_rows(rows: np.ndarray, heads: int) -> np.ndarray:
    """Ollama's order of a projection's rows: element i of a head beside element i + half."""
    width = rows.shape[0] // heads
    order = [
        head * width + half * (width // 2) + i for head in range(heads) for i in range(width // 2) for half in (0, 1)
    ]
    return rows[order]


def test_a_file_as_ollama_writes_it_gives_the_same_logits(mllama_checkpoint: Path, tmp_path: Path) -> None:
    """Ollama's keys and tensors are ours, but for the vision encoder's queries and keys and some keys that it lacks."""
    directory = with_clip_colours(mllama_checkpoint, tmp_path / "clip")
    source = open_source(directory, get_registry())
    vocabulary = source.tensors["output.weight"].shape[0]
    lists = {"tokens": vocabulary + 1, "token_type": vocabulary + 1}
    metadata = {
        key: value[: lists[key.rpartition(".")[2]]] if key.rpartition(".")[2] in lists else value
        for key, value in source.metadata.items()
        if not key.startswith(("ollamax.", "mllama.vision.image_mean", "mllama.vision.image_std"))
    }

    def stored(name: str) -> np.ndarray:
        data = source.tensor_bytes(name)
        if name.startswith("v.") and name.endswith(("attn_q.weight", "attn_k.weight")):
            rows = data.view(np.float32).reshape(source.tensors[name].shape)
            return paired_rows(rows, metadata["mllama.vision.attention.head_count"]).reshape(-1).view(np.uint8)
        return data

    write_gguf(tmp_path / "ollama.gguf", metadata, source.tensors.values(), stored)
    with (
        ollamax.load(directory, backend="cpu") as ours,
        ollamax.load(tmp_path / "ollama.gguf", backend="cpu") as theirs,
    ):
        ids = prompt(ours, 1)
        assert theirs.tokenizer.n_vocab == vocabulary + 1
        expected = ours.logits(ids, images=[OTHER])[:, :vocabulary]
        assert_close(theirs.logits(ids, images=[OTHER]), expected)
    source.close()


def test_rows_and_gates_lie_as_ollama_puts_them(mllama_checkpoint: Path) -> None:
    from safetensors.numpy import load_file

    weights = load_file(mllama_checkpoint / "model.safetensors")
    source = open_source(mllama_checkpoint, get_registry())

    def stored(name: str) -> np.ndarray:
        return source.tensor_bytes(name).view(np.float32).reshape(source.tensors[name].shape)

    layers = "language_model.model.layers."
    for ours, theirs, heads in (
        ("blk.0.attn_q", "0.self_attn.q_proj", 4),
        ("blk.0.attn_k", "0.self_attn.k_proj", 2),
        ("blk.1.cross_attn_q_proj", "1.cross_attn.q_proj", 4),
        ("blk.1.cross_attn_k_proj", "1.cross_attn.k_proj", 2),
    ):
        assert np.array_equal(stored(f"{ours}.weight"), paired_rows(weights[f"{layers}{theirs}.weight"], heads))
    for name in ("q_norm", "k_norm", "v_proj", "o_proj"):
        same = weights[f"{layers}1.cross_attn.{name}.weight"]
        assert np.array_equal(stored(f"blk.1.cross_attn_{name}.weight"), same)
    assert np.array_equal(stored("blk.1.cross_attn_attn_gate"), weights[layers + "1.cross_attn_attn_gate"])
    gate = np.tanh(weights["vision_model.gated_positional_embedding.gate"])
    np.testing.assert_allclose(stored("v.position_embd.gate"), 1 - gate, rtol=1e-5)
    np.testing.assert_allclose(stored("v.tile_position_embd.gate"), gate, rtol=1e-6)
    gate = np.tanh(weights["vision_model.global_transformer.layers.1.gate_ffn"])
    np.testing.assert_allclose(stored("v.global.blk.1.ffn_gate"), gate, rtol=1e-6)
    source.close()


def test_a_quantised_file_keeps_its_vision_part(
    model: Model, mllama_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ollamax.engine.create import create
    from ollamax.gguf import open_gguf
    from ollamax.modelfile import Modelfile
    from ollamax.store import Store
    from ollamax.types import DType

    monkeypatch.setenv("OLLAMAX_MODELS", str(tmp_path))
    create("seer", Modelfile(from_=str(mllama_checkpoint)), tmp_path, quantize="Q8_0")
    found = Store().find("seer")
    assert found is not None
    file = open_gguf(found.model_path)
    types = {name: info.dtype for name, info in file.tensors.items()}
    file.close()
    assert types["blk.0.attn_q.weight"] is types["blk.1.cross_attn_q_proj.weight"] is DType.Q8_0
    assert {kind for name, kind in types.items() if name.startswith(("v.", "mm."))} == {DType.F32}
    ids = prompt(model, 1)
    with ollamax.load("seer", backend="cpu") as stored:
        rough, exact = stored.logits(ids, images=[OTHER]), model.logits(ids, images=[OTHER])
    rough, exact = (logits[:, np.isfinite(exact[0])] for logits in (rough, exact))
    assert np.abs(rough - exact).max() < 0.1 * np.abs(exact).max()


def test_damaged_pictures_and_pictures_without_a_place_are_errors(model: Model, tmp_path: Path) -> None:
    ids = prompt(model, 1)
    with pytest.raises(ImageError, match=r"picture 1: the PNG picture is damaged or cut short"):
        model.logits(ids, images=[OTHER[: len(OTHER) // 2]])
    with pytest.raises(ImageError, match=r"has 1 of the token <\|image\|> and 2 pictures"):
        model.logits(ids, images=[OTHER, OTHER])
    with pytest.raises(ImageError, match=r"has 1 of the token <\|image\|> and 0 pictures"):
        model.chat([{"role": "user", "content": "what is <|image|>?"}])
    with pytest.raises(ContextFullError, match="4 pictures and the model was loaded for 3; raise num_images"):
        model.logits(prompt(model, 4), images=[OTHER] * 4)
    with pytest.raises(ImageError, match="not a regular file"):
        model.logits(ids, images=["/dev/zero"])
    with pytest.raises(ImageError, match="cannot read image"):
        model.logits(ids, images=[tmp_path / "nowhere.png"])


def test_a_model_without_vision_says_so() -> None:
    with ollamax.load("demo", backend="cpu") as blind, pytest.raises(OptionError, match="cannot see pictures"):
        blind.generate("x", images=[OTHER])


def test_a_template_that_leaves_pictures_out_gets_them_before_the_text(mllama_checkpoint: Path) -> None:
    go = "{{ range .Messages }}<{{ .Role }}>{{ .Content }}{{ end }}<assistant>"
    with ollamax.load(mllama_checkpoint, backend="cpu", template=go) as model:
        reply = model.chat([{"role": "user", "content": "the cat", "images": [OTHER]}], max_tokens=3, temperature=0)
        raw = "<user><|image|>the cat<assistant>"
        chunks = list(model.generate(raw, images=[OTHER], max_tokens=3, temperature=0))
    assert reply.text == "".join(chunk.text for chunk in chunks)
