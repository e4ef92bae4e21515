from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ollamax.errors import ArchitectureError, BackendError, ConversionError, ModelNotFoundError, PluginError
from ollamax.plugins import BundledModel, Registry, index
from ollamax.plugins.validation import Provided


class Thing:
    """Stands for a class of any contract: the registry does not look inside."""


@pytest.fixture
def registry() -> Registry:
    made = Registry()
    made.add(
        [
            Provided("architecture", ("poem", "verse"), Thing),
            Provided("checkpoint", ("PoemForCausalLM",), Thing),
            Provided("pre-tokenizer", ("poem",), Thing),
            Provided("backend", ("abacus",), Thing),
        ]
    )
    return made


def test_finds_by_every_name(registry: Registry) -> None:
    found: list[Any] = [
        registry.architecture("poem"),
        registry.architecture("verse"),
        registry.converter_for("PoemForCausalLM"),
        registry.tokenizers[0],
    ]
    assert found == [Thing] * 4


def test_unknown_architecture_lists_what_is_installed(registry: Registry) -> None:
    with pytest.raises(ArchitectureError) as caught:
        registry.architecture("sonnet")
    assert str(caught.value) == (
        "architecture 'sonnet' is not installed (installed: poem, verse); "
        "install a plugin that provides it; see ollamax list-plugins"
    )


def test_known_architecture_names_the_package(registry: Registry) -> None:
    with pytest.raises(ArchitectureError, match=r"\(installed: poem, verse\); pip install ollamax-plugin-qwen2$"):
        registry.architecture("qwen2")


def test_architecture_whose_package_did_not_load(registry: Registry) -> None:
    registry.absent["ollamax-plugin-qwen2"] = "SyntaxError: invalid syntax"
    with pytest.raises(ArchitectureError, match="ollamax-plugin-qwen2 provides it but did not load: SyntaxError"):
        registry.architecture("qwen2")


def test_hostile_architecture_name_is_shortened(registry: Registry) -> None:
    with pytest.raises(ArchitectureError) as caught:
        registry.architecture("\x1b[2J\n" + "x" * 100_000)
    assert len(str(caught.value)) < 250
    assert str(caught.value).isprintable()


def test_unknown_checkpoint(registry: Registry) -> None:
    with pytest.raises(ConversionError, match=r"'MllamaFor.*installed: PoemFor.*; pip install ollamax-plugin-mllama$"):
        registry.converter_for("MllamaForConditionalGeneration")
    with pytest.raises(ConversionError, match="install a plugin that provides it"):
        registry.converter_for("SonnetModel")


def test_unknown_backend(registry: Registry) -> None:
    with pytest.raises(BackendError, match=r"'metal' .*installed: abacus.*; pip install ollamax-backend-metal$"):
        registry.backend("metal")
    with pytest.raises(BackendError, match="install a plugin that provides it"):
        registry.backend("sundial")


@pytest.mark.parametrize("name", ["auto", "ggml"])
def test_no_backend_at_all(name: str) -> None:
    with pytest.raises(BackendError, match=r"^no backend is installed; pip install ollamax-backend-cpu$"):
        Registry().backend(name)


def test_index_names_only_packages_of_the_known_shape() -> None:
    assert {"ollamax-plugin-llama", "ollamax-backend-cpu"} <= index.distributions()
    assert all(name.startswith(("ollamax-plugin-", "ollamax-backend-")) for name in index.distributions())
    assert index.provider("architectures", "sonnet") is None


def test_bundled_model_is_a_file_or_gives_one(tmp_path: Path, registry: Registry) -> None:
    file = tmp_path / "poem.gguf"
    file.write_bytes(b"GGUF")
    for path in (file, lambda: file):
        registry.add([Provided("model", ("poem",), BundledModel("poem", path, "four lines"))])
        assert registry.model("poem").file() == file
    with pytest.raises(ModelNotFoundError, match=r"'sonnet' \(installed: poem\)"):
        registry.model("sonnet")


def test_bundled_model_without_its_file(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"'poem': .*poem\.gguf is missing; reinstall the plugin"):
        BundledModel("poem", tmp_path / "poem.gguf", "").file()
    with pytest.raises(PluginError, match=r"'poem': its plugin cannot give the file: ZeroDivisionError"):
        BundledModel("poem", lambda: Path(str(1 / 0)), "").file()
    with pytest.raises(PluginError, match=r"gives None where a pathlib\.Path is expected"):
        BundledModel("poem", lambda: None, "").file()  # type: ignore[arg-type, return-value]
