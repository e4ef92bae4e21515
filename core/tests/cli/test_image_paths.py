"""Paths of pictures in a prompt."""

import pytest

from ollamax.cli.image_paths import take_image_paths


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    for name in ("a.png", "b.JPG", "my cat.webp", "brackets(1).jpeg", "sub/c.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    monkeypatch.chdir(tmp_path / "sub")
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("prompt", "text", "names"),
    [
        ("what is ./c.png?", "what is ?", ["c.png"]),
        ("../a.png and ../b.JPG", "and", ["../a.png", "../b.JPG"]),
        ("compare ../a.txt with ../a.png", "compare ../a.txt with", ["../a.png"]),
        ("'../my cat.webp' what?", "what?", ["../my cat.webp"]),
        ('see "../a.png" now', "see  now", ["../a.png"]),
        (r"see ../my\ cat.webp now", "see  now", ["../my cat.webp"]),
        (r"see ../brackets\(1\).jpeg now", "see  now", ["../brackets(1).jpeg"]),
        ("./c.png ./c.png", "", ["c.png", "c.png"]),
    ],
)
def test_existing_pictures_are_taken_out(prompt, text, names):
    assert take_image_paths(prompt) == (text, names)


def test_absolute_paths_and_home(here):
    assert take_image_paths(f"{here}/a.png ~/b.JPG") == ("", [f"{here}/a.png", f"{here}/b.JPG"])


@pytest.mark.parametrize(
    "prompt",
    [
        "./nowhere.png",
        "https://example.org/a.png",
        "c.png",
        "a.png is a name",
        "/",
        "./c.pngx",
        "  two  spaces  ",
        "./sub",
    ],
)
def test_everything_else_stays_as_it_is(prompt):
    assert take_image_paths(prompt) == (prompt, [])


def test_a_document_is_not_searched():
    text = "./c.png " + "/" * (1 << 16)
    assert take_image_paths(text) == (text, [])


def test_a_directory_called_like_a_picture_is_none(tmp_path):
    (tmp_path / "sub" / "d.png").mkdir()
    assert take_image_paths("./d.png") == ("./d.png", [])
