"""How intermediate tensors get their names."""

from ollamax.arch.names import name_tensors
from ollamax.ml import nn
from ollamax.ml.nn.calls import recording
from ollamax.ml.tensor import graph_input, state, state_read, state_write, weight


class Linear(nn.Linear):
    def __init__(self):
        super().__init__()
        self.weight.tensor = weight("w", (8, 8))


class Attention(nn.Module):
    """Two heads of four, with a cache."""

    def __init__(self):
        self.q, self.k, self.o = Linear(), Linear(), Linear()

    def __call__(self, x):
        slots, rows = graph_input("slots", ("N",)), graph_input("rows", ("N", "T"))
        rope = nn.Rope(10000.0, 4, "halves")
        query = rope(self.q(x).split_heads(2, 4), graph_input("positions", ("N", "T")))
        stored = state_write(state("cache.key", (1, 8, 2, 4)), slots, rows, self.k(x).split_heads(2, 4))
        keys = state_read(stored, slots)
        return self.o(nn.attention(query, keys, keys).merge_heads())


class Model(nn.Module):
    def __init__(self, forward):
        self.embed, self.first, self.second, self.attn = nn.Embedding(), Linear(), Linear(), Attention()
        self.blk = [Linear(), Linear()]
        self.embed.weight.tensor = weight("e", (9, 8))
        self.forward = forward

    def names(self):
        with recording() as calls:
            logits = self.forward(self, self.embed(graph_input("ids", ("N", "T"), bound=9)))
        return list(name_tensors(self, calls, logits))


def test_a_result_is_called_by_the_module_s_path_and_the_last_one_logits():
    assert Model(lambda m, x: m.second(m.blk[1](m.blk[0](x)))).names() == ["embed", "blk.0", "blk.1", "logits"]


def test_what_no_module_made_is_the_input_of_one():
    assert Model(lambda m, x: m.second(m.first(x) * 2.0)).names() == ["embed", "first", "second.input", "logits"]
    assert Model(lambda m, x: m.second(m.first(x).reshape("N", "T", 8))).names() == ["embed", "first", "logits"]


def test_a_second_call_has_a_number():
    assert Model(lambda m, x: m.second(m.first(m.first(x)))).names() == ["embed", "first", "first#2", "logits"]


def test_a_result_that_is_not_used_has_no_name():
    def forward(model, x):
        model.first(x)
        return model.second(x)

    assert Model(forward).names() == ["embed", "logits"]


def test_attention_names_what_it_takes_and_gives():
    # attn's result is that of attn.o, which has its name already; what stands in the cache is the step's own key.
    assert Model(lambda m, x: m.second(m.attn(x))).names() == [
        "embed",
        "attn.q",
        "attn.query",
        "attn.k",
        "attn.key",
        "attn.attention",
        "attn.o",
        "logits",
    ]


def test_a_subclass_that_calls_its_base_is_one_call():
    class Doubled(Linear):
        def __call__(self, x):
            return super().__call__(x) * 2.0

    model = Model(lambda m, x: m.second(m.first(x)))
    model.first = Doubled()
    assert model.names() == ["embed", "first", "logits"]


def test_nothing_is_recorded_outside():
    model = Model(lambda m, x: m.second(x))
    model.second(graph_input("x", ("N", "T", 8)))
    with recording() as calls:
        pass
    assert calls == []
    assert dict(model.modules())["attn.q"] is model.attn.q
    assert [path for path, _ in model.parameters()][:2] == ["embed.weight", "first.weight"]
