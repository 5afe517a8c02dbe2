"""What an ONNX file says of itself: types of its inputs, number of its weights. Read without onnx, in no time.

The file is a protocol buffer (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto); everything that is not asked
for is skipped by its length, so that gigabytes of weights are never touched.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator
from pathlib import Path

from render.errors import ModelError

__all__ = ["input_dtype", "num_weights"]

# Field numbers of onnx.proto.
MODEL_GRAPH = 7
GRAPH_INITIALIZER, GRAPH_INPUT = 5, 11
NAME, TYPE = 1, 2  # of a ValueInfoProto
TENSOR_DIMS, TENSOR_DATA_TYPE = 1, 2
DTYPES = {1: "fp32", 10: "fp16", 16: "bf16"}

Span = tuple[int, int]
Field = tuple[int, int | Span]
"""(number, value): an integer, or from where to where the bytes of anything longer stand."""


def input_dtype(path: Path, name: str) -> str | None:
    """``fp32``, ``fp16`` or ``bf16`` of the graph's input ``name``; None for other types and where there is none.

    Raises ModelError for a file that is no ONNX graph.
    """
    with _opened(path) as data:
        for number, span in _graph(data):
            if number == GRAPH_INPUT and isinstance(span, tuple):
                found = dict(_fields(data, span))
                if _text(data, found[NAME]) == name:
                    tensor = dict(_fields(data, _span(dict(_fields(data, _span(found[TYPE])))[1])))
                    return DTYPES.get(_number(tensor[1]))
    return None


def num_weights(path: Path) -> int:
    """Numbers in all weights of floating point. Raises ModelError for a file that is no ONNX graph."""
    with _opened(path) as data:
        weights = [list(_fields(data, _span(span))) for number, span in _graph(data) if number == GRAPH_INITIALIZER]
        return sum(math.prod(_dims(data, fields)) for fields in weights if dict(fields)[TENSOR_DATA_TYPE] in DTYPES)


class _opened:  # noqa: N801 - a context manager
    """The file's bytes, mapped; what cannot be followed in them is a ModelError."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> mmap.mmap:
        try:
            with self._path.open("rb") as file:
                self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:  # an empty file cannot be mapped
            raise ModelError(f"{self._path}: cannot be read: {error}") from None
        return self._data

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        self._data.close()
        if isinstance(error, (IndexError, KeyError, ValueError, TypeError)):
            raise ModelError(f"{self._path}: is no ONNX graph; export the model again") from None


def _graph(data: mmap.mmap) -> Iterator[Field]:
    for number, value in _fields(data, (0, len(data))):
        if number == MODEL_GRAPH:
            return _fields(data, _span(value))
    raise ValueError("no graph")


def _fields(data: mmap.mmap, span: Span) -> Iterator[Field]:
    """The fields of one message, in order (https://protobuf.dev/programming-guides/encoding/)."""
    at, end = span
    while at < end:
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == 2:
            length, at = _varint(data, at)
        else:
            length = {1: 8, 5: 4}[wire]
        if at + length > end:
            raise ValueError("a field beyond its message")
        yield number, (at, at + length)
        at += length


def _varint(data: mmap.mmap, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _dims(data: mmap.mmap, fields: list[Field]) -> Iterator[int]:
    """A tensor's dimensions, which writers may pack into one field or not."""
    for number, value in fields:
        if number == TENSOR_DIMS and isinstance(value, int):
            yield value
        elif number == TENSOR_DIMS and isinstance(value, tuple):
            at, end = value
            while at < end:
                dim, at = _varint(data, at)
                yield dim


def _span(value: int | Span) -> Span:
    if isinstance(value, int):
        raise TypeError("a number where a message should be")
    return value


def _number(value: int | Span) -> int:
    if isinstance(value, int):
        return value
    raise TypeError("a message where a number should be")


def _text(data: mmap.mmap, value: int | Span) -> str:
    start, end = _span(value)
    return data[start:end].decode()
