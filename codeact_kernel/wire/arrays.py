"""Owns the codecs of numpy arrays and scalars. numpy is imported when the first one is met.

An array is its dtype as numpy's own .npy header describes it, its shape, and its bytes in C order.
The bytes are not a whole .npy file: here size, shape and dtype are checked before any is used.
Arrays of objects are encoded element by element, so nothing is ever pickled.
"""

from __future__ import annotations

from math import prod
from typing import Any

from .coding import TAG, Decode, DecodeError, Decoder, Encode, Encoded, Encoder, array, cannot_send, expect
from .messages import Json
from .structures import b64, unb64

_MAX_DIMENSIONS = 64
_MAX_DTYPE = 64
"""Characters of a dtype's code. Fields come as a list: of a code, nothing bounds how many it has."""
_LAST_CODE_POINT = 0x10FFFF


def encoders() -> dict[type, Encode]:
    """By exact type."""
    import numpy as np

    scalars: dict[type, Encode] = dict.fromkeys(np.sctypeDict.values(), _scalar)
    return {**scalars, np.ndarray: encode_array}


# --- arrays ------------------------------------------------------------------------------------


def encode_array(value: Any, enc: Encoder) -> Json:
    """A plain `numpy.ndarray`. Raises EncodeError for a structured dtype with object fields."""
    shape: Json = list(value.shape)
    if value.dtype.kind == "O" or value.dtype.kind == "T":
        items = enc.each(value.reshape(-1).tolist())
        return {TAG: "ndarray", "dtype": value.dtype.kind, "shape": shape, "items": items}
    if value.dtype.hasobject:
        raise cannot_send(value)
    raw = b64(value.tobytes(order="C"), enc)
    return {TAG: "ndarray", "dtype": _describe(value.dtype), "shape": shape, "b64": raw}


def _describe(dtype: Any) -> Json:
    """The dtype as a string, or as a list of fields."""
    from numpy.lib.format import dtype_to_descr

    return _listed(dtype_to_descr(dtype))


def _listed(descr: object) -> Json:
    if isinstance(descr, list | tuple):
        return [_listed(part) for part in descr]
    return descr  # type: ignore[return-value]  # numpy describes with str and int only


def decode_array(data: Encoded, dec: Decoder) -> Any:
    """Raises DecodeError when dtype, shape and bytes do not fit each other."""
    import numpy as np

    shape = tuple(expect(size, int) for size in array(data["shape"]))
    if len(shape) > _MAX_DIMENSIONS or any(size < 0 for size in shape):
        raise DecodeError(f"not the shape of an array: {str(shape)[:200]}")
    # What lists of the array have, where an array has nothing: rows without columns, fields without bytes.
    spelled = prod(max(size, 1) for size in shape)
    if data["dtype"] in ("O", "T"):
        items = dec.each(data["items"])
        dec.spell(max(spelled - len(items), 0))
        return _from_items(items, shape, data["dtype"])
    dtype = _dtype(data["dtype"])
    raw = unb64(data["b64"])
    if len(raw) != prod(shape) * dtype.itemsize:
        raise DecodeError(f"an array of shape {shape!r} and dtype {dtype} has not {len(raw)} bytes")
    dec.spell(max(spelled * leaves(dtype) - len(raw), 0))
    if not raw:
        return np.zeros(shape, dtype)
    found = np.frombuffer(bytearray(raw), dtype).reshape(shape)
    _check_texts(found)
    return found


def leaves(dtype: Any) -> int:
    """How many values one element has when it is taken apart."""
    count = 1
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        count = prod(max(size, 1) for size in shape)
        dtype = base
    return count * (sum(leaves(dtype[name]) for name in dtype.names) if dtype.names else 1)


def _check_texts(found: Any) -> None:
    """Raises DecodeError for a text of what is no code point: numpy makes no str of it."""
    import numpy as np

    for name in found.dtype.names or ():
        _check_texts(found[name])
    if found.dtype.kind == "U" and found.dtype.itemsize:
        points = np.ascontiguousarray(found).view(np.dtype("u4").newbyteorder(found.dtype.byteorder))
        if points.size and points.max() > _LAST_CODE_POINT:
            raise DecodeError("a text of what is no code point")


def _from_items(items: list[object], shape: tuple[int, ...], kind: Json) -> Any:
    import numpy as np

    if kind == "T":
        return np.array([expect(item, str) for item in items], np.dtypes.StringDType()).reshape(shape)
    flat = np.empty(len(items), object)
    for index, item in enumerate(items):  # not flat[:] = items, which takes nested lists apart
        flat[index] = item
    return flat.reshape(shape)


def _dtype(descr: Json) -> Any:
    """The dtype that `descr` describes. Raises DecodeError for anything with objects in it."""
    from numpy.lib.format import descr_to_dtype

    described: Any = _code(descr) if isinstance(descr, str) else _fields(descr)
    dtype = descr_to_dtype(described)
    if dtype.hasobject:
        raise DecodeError("an array of objects without its items")
    return dtype


def _code(text: str) -> str:
    if len(text) > _MAX_DTYPE or "," in text:
        raise DecodeError(f"not the code of a dtype: {text[:40]!r}")
    return text


def _fields(descr: Json) -> Any:
    """Lists back to what numpy wants: ("<i4", (3,)) or [("a", "<i4"), (("title", "b"), "<f8", (2,))]."""
    parts = array(descr)
    if len(parts) == 2 and isinstance(parts[1], list) and all(type(size) is int for size in parts[1]):
        return (_code(parts[0]) if isinstance(parts[0], str) else _fields(parts[0]), tuple(parts[1]))
    return [_field(array(field)) for field in parts]


def _field(field: Any) -> tuple[Any, ...]:
    name, base, *shape = field
    named = tuple(name) if isinstance(name, list) else name
    return (
        named,
        _code(base) if isinstance(base, str) else _fields(base),
        *(tuple(array(part)) for part in shape),
    )


# --- scalars -----------------------------------------------------------------------------------


def _scalar(value: Any, enc: Encoder) -> Json:
    import numpy as np

    dtype = value.dtype
    if dtype.kind in "US":  # not value.item(), which drops trailing NULs
        item = str.__str__(value) if dtype.kind == "U" else b"".join((value,))
        return {TAG: "numpy", "dtype": dtype.kind, "value": enc(item)}
    if dtype.kind in "biu" or (dtype.kind == "f" and dtype.itemsize <= 8):
        # Two types can share a name (longlong and int64); the character tells them apart.
        name = dtype.name if np.dtype(dtype.name).type is type(value) else dtype.char
        return {TAG: "numpy", "dtype": name, "value": enc(value.item())}
    return {TAG: "numpy", "array": encode_array(np.asarray(value), enc)}


def _to_scalar(data: Encoded, dec: Decoder) -> object:
    import numpy as np

    if "array" in data:
        return dec(data["array"])[()]  # type: ignore[index]  # what is no array is a DecodeError
    name, value = expect(data["dtype"], str), dec(data["value"])
    if name == "U":
        return np.str_(expect(value, str))
    if name == "S":
        return np.bytes_(expect(value, bytes))
    dtype = _dtype(name)
    kinds = {"b": bool, "i": int, "u": int, "f": float}
    return dtype.type(expect(value, kinds[dtype.kind]))


DECODERS: dict[str, Decode] = {"ndarray": decode_array, "numpy": _to_scalar}
