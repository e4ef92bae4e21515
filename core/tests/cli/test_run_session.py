"""The interactive session, line by line, around a model without weights."""

import pytest

from ollamax.cli.repl import converse
from ollamax.cli.session import Session
from ollamax.cli.slash import Settings
from ollamax.engine.options import TABLE
from ollamax.errors import BackendError, OptionError


class Script:
    """A reader that gives prepared lines; an exception among them is raised."""

    def __init__(self, lines):
        self.lines, self.prompts, self.kept, self.closed = list(lines), [], [], False

    def read(self, prompt):
        self.prompts.append(prompt)
        line = self.lines.pop(0) if self.lines else EOFError()
        if isinstance(line, BaseException):
            raise line
        return line

    def keep_history(self, keep):
        self.kept.append(keep)

    def close(self):
        self.closed = True


@pytest.fixture
def talk(fake, capsys):
    """Run a session over lines; returns its output, with the session in ``talk.session``."""
    import ollamax

    def run(*lines, **session_fields):
        talk_reader = Script(lines)
        session = Session(lambda options: ollamax.load("demo", **options), **session_fields)
        run.session, run.reader, run.settings = session, talk_reader, Settings(wrap=False)
        with session:
            converse(session, run.settings, talk_reader)
        assert talk_reader.closed
        output = capsys.readouterr()
        run.stderr = output.err
        return output.out

    return run


def contents(messages):
    return [(message["role"], message["content"]) for message in messages]


def test_a_conversation_remembers_what_was_said(talk, fake):
    fake.replies[:] = ["Hello.", "Good."]
    assert talk("Hi", "How are you?") == "Hello.\n\nGood.\n\n\n"
    assert talk.reader.prompts == [">>> "] * 3
    last_messages, _ = fake.models[0].calls[-1]
    assert contents(last_messages) == [("user", "Hi"), ("assistant", "Hello."), ("user", "How are you?")]
    assert fake.models[0].closed


@pytest.mark.parametrize("word", ["/bye", "/exit", " /bye "])
def test_bye_ends_the_session(talk, fake, word):
    assert talk(word, "never read") == ""
    assert fake.models[0].calls == []
    assert fake.models[0].closed


def test_empty_lines_ask_nothing(talk, fake):
    talk("", "   ")
    assert fake.models[0].calls == []


def test_triple_quotes_hold_a_message_of_several_lines(talk, fake):
    talk('"""one', "", ' two"""', '"""single"""', '"""', "three", '"""')
    asked = [messages[-1]["content"] for messages, _ in fake.models[0].calls]
    assert asked == ["one\n\n two", "single", "\nthree\n"]
    assert talk.reader.prompts == [">>> ", "... ", "... ", ">>> ", ">>> ", "... ", "... ", ">>> "]


def test_ctrl_c_at_the_prompt_says_how_to_leave_and_drops_an_unfinished_message(talk, fake):
    assert "Use Ctrl-D or /bye to exit." in talk(KeyboardInterrupt(), '"""one', KeyboardInterrupt(), "two")
    assert [messages[-1]["content"] for messages, _ in fake.models[0].calls] == ["two"]


def test_the_end_of_input_inside_a_message_ends_the_session(talk, fake):
    talk('"""one')
    assert fake.models[0].calls == []


def test_ctrl_c_stops_the_answer_and_keeps_its_beginning(talk, fake):
    fake.replies[:] = [["Once ", KeyboardInterrupt()], "Go on."]
    assert talk("x", "y") == "Once \n\nGo on.\n\n\n"
    messages, _ = fake.models[0].calls[-1]
    assert contents(messages) == [("user", "x"), ("assistant", "Once "), ("user", "y")]


def test_ctrl_c_before_the_first_word_forgets_the_question(talk, fake):
    fake.replies[:] = [[KeyboardInterrupt()], "Yes."]
    talk("x", "y")
    assert contents(fake.models[0].calls[-1][0]) == [("user", "y")]


def test_a_model_that_fails_does_not_end_the_session(talk, fake):
    fake.replies[:] = [[BackendError("out of memory")], "Yes."]
    assert talk("x", "y") == "Yes.\n\n\n"
    assert talk.stderr == "Error: out of memory\n"
    assert contents(fake.models[0].calls[-1][0]) == [("user", "y")]


def test_clear_forgets_the_conversation_but_not_the_system_message(talk, fake):
    output = talk("x", "/clear", "y", system="Be kind.")
    assert "Cleared session context" in output
    assert contents(fake.models[0].calls[-1][0]) == [("system", "Be kind."), ("user", "y")]


def test_set_parameter_changes_the_next_answers(talk, fake):
    output = talk("/set parameter temperature 0.5", "/set parameter max_tokens 9", "x", options={"seed": 1})
    assert "Set parameter 'temperature' to '0.5'" in output
    assert fake.models[0].calls[-1][1] == {"seed": 1, "temperature": 0.5, "num_predict": 9}


def test_set_parameter_stop_takes_several_texts_in_quotes(talk, fake):
    assert "to '###, a b'" in talk('/set parameter stop ### "a b"', "x")
    assert fake.models[0].calls[-1][1] == {"stop": ("###", "a b")}


def test_set_parameter_num_ctx_loads_the_model_again(talk, fake):
    talk("/set parameter num_ctx 64", "x", load_options={"num_thread": 2})
    assert [model.load_options for model in fake.models] == [
        {"num_thread": 2},
        {"num_thread": 2, "num_ctx": 64},
    ]
    assert [model.closed for model in fake.models] == [True, True]
    assert len(fake.models[1].calls) == 1


def test_a_model_that_cannot_be_loaded_again_stays_as_it_was(talk, fake):
    fake.fail = OptionError("option num_ctx: too small for this model")
    talk("/set parameter num_ctx 7", "x")
    assert talk.stderr == "Error: option num_ctx: too small for this model\n"
    assert [model.load_options for model in fake.models] == [{}, {}]
    assert len(fake.models[1].calls) == 1


def test_ctrl_c_while_the_model_is_loaded_again_leaves_the_old_one(talk, fake):
    fake.fail = KeyboardInterrupt()
    assert "Use Ctrl-D or /bye" in talk("/set parameter num_ctx 7", "x")
    assert [model.load_options for model in fake.models] == [{}, {}]
    assert len(fake.models[1].calls) == 1


def test_bytes_that_are_no_text_do_not_end_the_session(talk, fake):
    talk(UnicodeDecodeError("utf-8", b"\xe9", 0, 1, "unexpected end"), "x")
    assert talk.stderr == "Error: what was typed is not UTF-8\n"
    assert len(fake.models[0].calls) == 1


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("/set parameter temperature hot", "Error: option temperature: 'hot' is not valid"),
        ("/set parameter temperature 1 2", "Error: parameter temperature takes one value"),
        ("/set parameter topk 1", "Error: unknown option 'topk'; did you mean top_k?"),
        ("/set parameter mirostat 1", "Error: option mirostat is not supported"),
        ("/set parameter stop 'a", "Error: /set parameter: a quote is not closed"),
        ("/set colour blue", "Unknown command '/set colour'. Type /? set for help"),
        ("/set", "/set parameter NAME VALUE..."),
        ("/set system", "/set system TEXT"),
        ("/show", "/show modelfile"),
        ("/show everything", "Unknown command '/show everything'. Type /? show for help"),
        ("/dance now", "Unknown command '/dance'. Type /? for help"),
        ("/?", "/bye"),
        ("/help", "/bye"),
        ("/? set", "/set nohistory"),
        ("/help /show", "/show template"),
    ],
)
def test_a_command_answers_and_the_session_goes_on(talk, fake, line, answer):
    if line == "/? set":
        answer = "/set history, nohistory"
    assert answer in talk(line, "x") + talk.stderr
    assert fake.models[-1].calls[-1] == ([{"role": "user", "content": "x"}], {})


def test_set_parameter_without_a_value_lists_all_of_them(talk):
    output = talk("/set parameter")
    for option in TABLE.values():
        assert f"/set parameter {option.name} " in output


def test_set_system_replaces_the_system_message(talk, fake):
    output = talk("/set system Be kind.", "x", '/set system """Be', 'short."""', "y")
    assert output.count("Set system message.") == 2
    asked = [messages[0]["content"] for messages, _ in fake.models[0].calls]
    assert asked == ["Be kind.", "Be\nshort."]
    assert sum(message["role"] == "system" for message in fake.models[0].calls[1][0]) == 1


def test_set_verbose_prints_timings_until_quiet(talk):
    talk("/set verbose", "x", "/set quiet", "y")
    assert talk.stderr.count("total duration:") == 1


def test_set_wordwrap_and_history_switch(talk):
    talk("/set wordwrap", "/set nohistory", "/set history")
    assert talk.settings.wrap is True
    assert talk.reader.kept == [False, True]
    talk("/set nowordwrap")
    assert talk.settings.wrap is False


def test_show_tells_about_the_model(talk):
    assert "  architecture      fake\n  context length    128\n  num_ctx           64\n" in talk("/show info")
    assert "No license was specified for this model.\n" in talk("/show license")
    assert talk("/show modelfile").startswith("FROM fake\nTEMPLATE T\nSYSTEM Be brief.\nPARAMETER stop a\n")
    assert talk("/show template") == "{{ .Prompt }}\n\n"


def test_show_system_prefers_what_was_set(talk):
    assert talk("/show system", "/set system Be kind.", "/show system").splitlines()[::2] == ["Be brief.", "Be kind."]


def test_show_parameters_lists_the_models_and_the_users(talk):
    output = talk(
        "/set parameter seed 5", "/show parameters", load_options={"num_ctx": 64}, options={"stop": ("x", "y")}
    )
    rows = [line.split() for line in output.splitlines()]
    assert rows[1:4] == [["Model", "defined", "parameters:"], ["stop", "a"], ["stop", "b"]]
    assert rows[5:10] == [
        ["User", "defined", "parameters:"],
        ["num_ctx", "64"],
        ["stop", "x"],
        ["stop", "y"],
        ["seed", "5"],
    ]
