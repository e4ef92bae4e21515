"""Reading the pickle in a PyTorch checkpoint without running anything that it says.

A pickle is a program for a small stack machine, and Python's own machine, also with ``find_class`` restricted,
calls what it is told to, hashes keys of any depth, and allocates a memo as large as it is told. The machine here
has no way to call: the standard library's pickletools cuts the program into instructions, the few that torch.save
writes are followed, and of the globals on the list the few functions are known by name only.
"""

from __future__ import annotations

import pickletools
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, NoReturn

from ollamax.errors import CheckpointError

# A checkpoint of 10,000 tensors has half a million instructions.
_MOST_INSTRUCTIONS = 2_000_000
_MOST_DIMENSIONS = 8
_LARGEST_NUMBER = 2**62

# The element types of storages, spelled as in safetensors.
STORAGES = {
    "torch DoubleStorage": "F64",
    "torch FloatStorage": "F32",
    "torch HalfStorage": "F16",
    "torch BFloat16Storage": "BF16",
    "torch LongStorage": "I64",
    "torch IntStorage": "I32",
    "torch ShortStorage": "I16",
    "torch CharStorage": "I8",
    "torch ByteStorage": "U8",
    "torch BoolStorage": "BOOL",
}
_ORDERED_DICT = "collections OrderedDict"
_TENSOR = "torch._utils _rebuild_tensor_v2"
_PARAMETER = "torch._utils _rebuild_parameter"
ALLOWED = frozenset({_ORDERED_DICT, _TENSOR, _PARAMETER, *STORAGES})

_PUSH_ARGUMENT = {"BINUNICODE", "SHORT_BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"}
_PUSH_CONSTANT: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@dataclass(frozen=True, slots=True)
class Storage:
    """A run of ``elements`` values of one type, filed under ``key``."""

    key: str
    dtype: str
    elements: int


@dataclass(frozen=True, slots=True)
class StridedTensor:
    """A view of a storage; ``offset`` and ``strides`` count elements, and all it touches lies in the storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Global:
    name: str


class _Mark:
    pass


_MARK = _Mark()


class StateDictPickle:
    """One pickle of ``path``, read from where ``stream`` stands; ``value`` is what it holds.

    That is made of dict (for OrderedDict too), list, tuple, str, int, float, bool, None and StridedTensor. Raises
    CheckpointError for a global that is not in ALLOWED, naming it, and for whatever else torch.save does not write.
    """

    def __init__(self, path: Path, stream: BytesIO) -> None:
        self._path, self._stack, self._memo = path, list[Any](), dict[int, Any]()
        self._offset = 0
        count = 0
        try:
            with warnings.catch_warnings():
                # Of a stray backslash in a text; the user can do nothing about it.
                warnings.simplefilter("ignore", DeprecationWarning)
                for opcode, argument, offset in pickletools.genops(stream):
                    self._offset, count = offset or 0, count + 1
                    if count > _MOST_INSTRUCTIONS:
                        self._fail(f"more than {_MOST_INSTRUCTIONS} instructions")
                    self._follow(opcode.name, argument)
        except ValueError as error:  # pickletools': a truncated or unknown instruction
            self._fail(f"malformed: {error}")
        self.value = self._pop()

    def _fail(self, problem: str) -> NoReturn:
        raise CheckpointError(self._path, problem, where="its pickle", offset=self._offset)

    def _pop(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            self._fail("malformed: nothing on the stack")
        return self._stack.pop()

    def _top(self, kind: type) -> Any:
        if not self._stack or type(self._stack[-1]) is not kind:
            self._fail(f"an instruction for a {kind.__name__} finds something else")
        return self._stack[-1]

    def _pop_to_mark(self) -> list[Any]:
        items = []
        while self._stack and self._stack[-1] is not _MARK:
            items.append(self._stack.pop())
        if not self._stack:
            self._fail("malformed: no mark on the stack")
        self._stack.pop()
        return items[::-1]

    def _follow(self, name: str, argument: Any) -> None:
        if name in _PUSH_ARGUMENT:
            self._stack.append(argument)
        elif name in _PUSH_CONSTANT:
            self._stack.append(_PUSH_CONSTANT[name]())
        elif name in _TUPLES:
            self._stack.append(tuple([self._pop() for _ in range(_TUPLES[name])][::-1]))
        elif name in _INSTRUCTIONS:
            _INSTRUCTIONS[name](self, argument)
        else:
            self._fail(f"the instruction {name}, which torch.save does not write; save the model as safetensors")

    def _global(self, name: str) -> None:
        if name not in ALLOWED:
            shown = ascii(name.replace(" ", ".", 1))[1:-1][:120]
            self._fail(
                f"it asks for {shown}, which is not among the {len(ALLOWED)} names that a state dict needs; nothing "
                "was run; save the model's state_dict(), or the model as safetensors"
            )
        self._stack.append(_Global(name))

    def _stack_global(self) -> None:
        name, module = self._pop(), self._pop()
        if not isinstance(name, str) or not isinstance(module, str):
            self._fail("a global without a name")
        self._global(f"{module} {name}")

    def _put(self, key: int) -> None:
        value = self._pop()
        self._memo[key] = value
        self._stack.append(value)

    def _get(self, key: int) -> None:
        if key not in self._memo:
            self._fail("malformed: nothing in the memo there")
        self._stack.append(self._memo[key])

    def _extend(self, items: list[Any]) -> None:
        self._top(list).extend(items)

    def _set(self, items: list[Any]) -> None:
        target = self._top(dict)
        if len(items) % 2:
            self._fail("malformed: a key without a value")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str):  # also keeps keys from being hashed, which deep or wide tuples abuse
                self._fail(f"a key of type {type(key).__name__}; names of tensors were expected")
            target[key] = value

    def _set_one(self) -> None:
        value, key = self._pop(), self._pop()
        self._set([key, value])

    def _build(self) -> None:
        """An OrderedDict's attributes (``_metadata`` of a state dict), which are not needed."""
        if not isinstance(self._pop(), dict):
            self._fail("a state that is no dict")
        self._top(dict)

    def _reduce(self) -> None:
        arguments, function = self._pop(), self._pop()
        if not isinstance(function, _Global) or not isinstance(arguments, tuple):
            self._fail("a call of something that is no function")
        if function.name == _ORDERED_DICT and not arguments:
            self._stack.append({})
        elif function.name == _TENSOR:
            self._stack.append(self._tensor(arguments))
        elif function.name == _PARAMETER and len(arguments) == 3 and isinstance(arguments[0], StridedTensor):
            self._stack.append(arguments[0])
        else:
            self._fail(f"{function.name.replace(' ', '.')} called with unexpected arguments")

    def _storage(self) -> None:
        match self._pop():
            case ("storage", _Global(kind), str(key), str(), int(elements)) | (
                "storage",
                _Global(kind),
                str(key),
                str(),
                int(elements),
                None,
            ) if kind in STORAGES and 0 <= elements <= _LARGEST_NUMBER:
                self._stack.append(Storage(key, STORAGES[kind], elements))
            case _:
                self._fail("a persistent id that is no storage of a known type")

    def _tensor(self, arguments: tuple[Any, ...]) -> StridedTensor:
        """The arguments are storage, offset, shape, strides, requires_grad, hooks, and perhaps metadata."""
        match arguments:
            case (Storage() as storage, int(offset), tuple(shape), tuple(strides), _, _, *rest) if (
                len(shape) == len(strides) <= _MOST_DIMENSIONS
                and all(type(value) is int and 0 <= value <= _LARGEST_NUMBER for value in (offset, *shape, *strides))
                and (not rest or (len(rest) == 1 and rest[0] in (None, {})))  # else negated, or conjugated
            ):
                tensor = StridedTensor(storage, offset, shape, strides)
            case _:
                self._fail("torch._utils._rebuild_tensor_v2 called with unexpected arguments")
        self._check_extent(tensor)
        return tensor

    def _check_extent(self, tensor: StridedTensor) -> None:
        elements, last = 1, tensor.offset
        for size, stride in zip(tensor.shape, tensor.strides, strict=True):
            elements *= size
            last += (size - 1) * stride
        have = tensor.storage.elements
        if elements and last >= have:
            self._fail(f"a tensor reaches to element {last} of a storage of {have}")
        if elements > have:
            self._fail(f"a tensor of {elements} elements repeats those of a storage of {have}; save it without expand")


_INSTRUCTIONS: dict[str, Callable[[StateDictPickle, Any], None]] = {
    "PROTO": lambda _machine, _version: None,
    "FRAME": lambda _machine, _size: None,
    "STOP": lambda _machine, _none: None,
    "MARK": lambda machine, _none: machine._stack.append(_MARK),
    "TUPLE": lambda machine, _none: machine._stack.append(tuple(machine._pop_to_mark())),
    "GLOBAL": lambda machine, name: machine._global(name),
    "INST": lambda machine, name: machine._global(name),
    "STACK_GLOBAL": lambda machine, _none: machine._stack_global(),
    "BINPUT": lambda machine, key: machine._put(key),
    "LONG_BINPUT": lambda machine, key: machine._put(key),
    "MEMOIZE": lambda machine, _none: machine._put(len(machine._memo)),
    "BINGET": lambda machine, key: machine._get(key),
    "LONG_BINGET": lambda machine, key: machine._get(key),
    "APPEND": lambda machine, _none: machine._extend([machine._pop()]),
    "APPENDS": lambda machine, _none: machine._extend(machine._pop_to_mark()),
    "SETITEM": lambda machine, _none: machine._set_one(),
    "SETITEMS": lambda machine, _none: machine._set(machine._pop_to_mark()),
    "BUILD": lambda machine, _none: machine._build(),
    "REDUCE": lambda machine, _none: machine._reduce(),
    "BINPERSID": lambda machine, _none: machine._storage(),
}
