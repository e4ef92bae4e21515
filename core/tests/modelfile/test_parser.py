import pytest

from ollamax.errors import ModelfileError
from ollamax.modelfile import Modelfile, load_modelfile, parse_modelfile
from ollamax.types import Message

FULL = '''
# A pirate.
from ./model.gguf
PARAMETER temperature 0.7
Parameter stop "<|end|>"
PARAMETER stop User:
TEMPLATE """{{ if .System }}<|system|>
{{ .System }}<|end|>
{{ end }}<|user|>
{{ .Prompt }}<|end|>
<|assistant|>
{{ .Response }}<|end|>
"""
SYSTEM You are a "pirate". # and this is text
license MIT
LICENSE """
Second licence
  with "quotes"
"""
MESSAGE user Is Toronto in Canada?
MESSAGE assistant """yes
indeed"""
'''


def test_every_instruction_is_read():
    parsed = parse_modelfile(FULL)
    assert parsed.from_ == "./model.gguf"
    assert parsed.parameters == {"temperature": ["0.7"], "stop": ["<|end|>", "User:"]}
    assert parsed.template is not None
    assert parsed.template.startswith("{{ if .System }}<|system|>\n")
    assert parsed.template.endswith("{{ .Response }}<|end|>\n")
    assert parsed.system == 'You are a "pirate". # and this is text'
    assert parsed.licenses == ["MIT", '\nSecond licence\n  with "quotes"\n']
    assert parsed.messages == [Message("user", "Is Toronto in Canada?"), Message("assistant", "yes\nindeed")]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("plain words  ", "plain words"),
        ('"  kept  "  ', "  kept  "),
        ('"two\nlines"', "two\nlines"),
        ('"He said "hi" and left"', 'He said "hi" and left'),
        ('""', ""),
        ('""""""', ""),
        ('"""a\n\n  b"""\t', "a\n\n  b"),
        ('"""ends in a quote""""', 'ends in a quote"'),
        ('"""first line has a blank \nb"""', "first line has a blank \nb"),
        ('"""""\nx"""', '""\nx'),
        ("'single quotes are text'", "'single quotes are text'"),
        ("# a value", "# a value"),
    ],
)
def test_quoting(written, value):
    assert parse_modelfile(f"FROM m\nSYSTEM {written}\nPARAMETER seed 1").system == value


@pytest.mark.parametrize("from_", ["demo", "demo:latest", "./a model.gguf", "/abs/dir", '"  odd  "'])
def test_from_is_kept_exactly(from_):
    assert parse_modelfile(f"FROM {from_}").from_ == from_.strip('"')


def test_instructions_may_stand_in_any_order_and_the_last_scalar_text_counts():
    parsed = parse_modelfile("SYSTEM one\nSYSTEM two\nFROM m\nTEMPLATE a\nTEMPLATE b")
    assert (parsed.from_, parsed.system, parsed.template) == ("m", "two", "b")


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("FROM m\n\nADAPTER ./lora.gguf", 3, "ADAPTER is not supported yet"),
        ("FROM m\nRENDERER x", 2, "RENDERER is not supported yet"),
        ("# c\nFORM m", 2, "unknown instruction 'FORM'; expected FROM, PARAMETER"),
        ("FROM m\nFROM n", 2, "a second FROM"),
        ("FROM", 1, "FROM: a model's name"),
        ('FROM "  "', 1, "FROM is empty"),
        ("FROM m\nPARAMETER", 2, "the name of an option was expected, as in"),
        ("FROM m\nPARAMETER temp-erature 1", 2, "not 'temp-erature'"),
        ("FROM m\nPARAMETER seed", 2, "PARAMETER seed: a value was expected"),
        ("FROM m\nMESSAGE robot hi", 2, "(system, user, assistant), not 'robot'"),
        ("FROM m\nMESSAGE user", 2, "MESSAGE user: a text was expected"),
        ("FROM m\nMESSAGE", 2, "a role was expected (system, user, assistant)"),
        ("FROM m\nTEMPLATE", 2, "TEMPLATE: a Go template was expected"),
        ('FROM m\nSYSTEM """never\nends\n', 2, 'SYSTEM: the text opened by """ has no end'),
        ('FROM m\nSYSTEM """ends in two""\n', 2, 'SYSTEM: the text opened by """ has no end'),
        ('FROM m\nSYSTEM "never ends\nPARAMETER seed 1', 2, 'the text opened by " has no end'),
        ("x" * 10_000, 1, "unknown instruction"),
    ],
)
def test_errors_name_the_line_and_what_was_expected(text, line, problem):
    with pytest.raises(ModelfileError) as caught:
        parse_modelfile(text, origin="Pirate")
    message = str(caught.value)
    assert message.startswith(f"Pirate, line {line}: ")
    assert problem in message
    assert "\n" not in message
    assert len(message) < 250


def test_a_modelfile_needs_from_but_a_fragment_does_not():
    with pytest.raises(ModelfileError, match="there is no FROM line"):
        parse_modelfile("SYSTEM hi")
    assert parse_modelfile("SYSTEM hi", require_from=False) == Modelfile(system="hi")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_files_of_windows_are_read(tmp_path, encoding):
    path = tmp_path / "Modelfile"
    path.write_bytes('FROM m\r\nSYSTEM """é\r\nß"""\r\n'.encode(encoding))
    assert load_modelfile(path) == Modelfile(from_="m", system="é\nß")


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "Modelfile"
    path.write_bytes(b"FROM m\nSYSTEM \xff\xfa")
    with pytest.raises(ModelfileError, match="line 2: the Modelfile is no text in UTF-8"):
        load_modelfile(path)
    path.write_bytes(b"\xff\xfeF")
    with pytest.raises(ModelfileError, match="no text in UTF-16"):
        load_modelfile(path)
    with pytest.raises(ModelfileError, match="cannot be read"):
        load_modelfile(tmp_path / "absent")
    with pytest.raises(ModelfileError, match="cannot be read"):
        load_modelfile(tmp_path)


def test_a_model_given_as_a_modelfile_is_not_read_to_its_end(tmp_path):
    path = tmp_path / "model.gguf"
    with path.open("wb") as file:
        file.truncate(2**34)  # sparse: takes no disk
    with pytest.raises(ModelfileError, match="larger than 16777216 bytes"):
        load_modelfile(path)
