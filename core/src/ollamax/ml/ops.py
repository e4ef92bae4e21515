"""Every operation of the graph, in one enum.

Leaves hold values, primitives are what a backend must at least offer, compounds are what a fast backend fuses;
:mod:`ollamax.ml.lower` takes each compound apart into primitives for a backend that does not.
"""

from __future__ import annotations

from enum import StrEnum


class Op(StrEnum):
    """What a graph node does; shapes are row-major."""

    # leaves
    INPUT = "input"
    WEIGHT = "weight"
    STATE = "state"
    CONST = "const"

    # unary, element by element
    NEG = "neg"
    EXP = "exp"
    LOG = "log"
    SQRT = "sqrt"
    RECIPROCAL = "reciprocal"
    SIN = "sin"
    COS = "cos"
    TANH = "tanh"
    ERF = "erf"
    ABS = "abs"
    NOT = "not"
    CAST = "cast"

    # binary and ternary, element by element, broadcast as in NumPy
    ADD = "add"
    SUB = "sub"
    MUL = "mul"
    DIV = "div"
    MAXIMUM = "maximum"
    MINIMUM = "minimum"
    POW = "pow"
    EQ = "eq"
    LT = "lt"
    LE = "le"
    AND = "and"
    OR = "or"
    WHERE = "where"

    # movement
    RESHAPE = "reshape"
    TRANSPOSE = "transpose"
    SLICE = "slice"
    CONCAT = "concat"
    PAD = "pad"
    REPEAT = "repeat"
    IM2COL = "im2col"

    # reductions over one axis, which stays with size 1
    SUM = "sum"
    MEAN = "mean"
    MAX = "max"

    # products and look-ups
    MATMUL = "matmul"
    TAKE = "take"
    GATHER = "gather"
    DEQUANTIZE = "dequantize"
    STATE_READ = "state_read"
    STATE_WRITE = "state_write"

    # compounds
    LINEAR = "linear"
    EMBEDDING = "embedding"
    RMS_NORM = "rms_norm"
    LAYER_NORM = "layer_norm"
    SOFTMAX = "softmax"
    SIGMOID = "sigmoid"
    RELU = "relu"
    SILU = "silu"
    GELU = "gelu"
    SILU_MUL = "silu_mul"
    ROPE = "rope"
    MASK = "mask"
    ATTENTION = "attention"
    CONV2D = "conv2d"


LEAVES = frozenset({Op.INPUT, Op.WEIGHT, Op.STATE, Op.CONST})
COMPOUNDS = frozenset(
    {
        Op.LINEAR,
        Op.EMBEDDING,
        Op.RMS_NORM,
        Op.LAYER_NORM,
        Op.SOFTMAX,
        Op.SIGMOID,
        Op.RELU,
        Op.SILU,
        Op.GELU,
        Op.SILU_MUL,
        Op.ROPE,
        Op.MASK,
        Op.ATTENTION,
        Op.CONV2D,
    }
)
PRIMITIVES = frozenset(Op) - LEAVES - COMPOUNDS
UNARY = frozenset({Op.NEG, Op.EXP, Op.LOG, Op.SQRT, Op.RECIPROCAL, Op.SIN, Op.COS, Op.TANH, Op.ERF, Op.ABS, Op.NOT})
BINARY = frozenset({Op.ADD, Op.SUB, Op.MUL, Op.DIV, Op.MAXIMUM, Op.MINIMUM, Op.POW})
COMPARE = frozenset({Op.EQ, Op.LT, Op.LE, Op.AND, Op.OR})
REDUCE = frozenset({Op.SUM, Op.MEAN, Op.MAX})
