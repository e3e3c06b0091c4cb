"""Owns the value codec: Python values cross the tool boundary exactly, as JSON.

What JSON holds exactly looks like itself: None, bool, int of 64 bits, finite float, str, list, and
dict with str keys. Everything else is an object with the key "$" that names its kind; the kinds are
in `structures` (containers, records), `scalars`, `enums`, `arrays` (numpy), `tables` (pandas),
`pictures` and `media`.

Exactly means equal and of the same type, with these decisions:
- A dataclass or pydantic instance arrives as a `Record`, a namedtuple as a `TupleRecord` (a tuple
  with names): the class itself exists only where it was defined.
- A figure or an image arrives as a `Picture` of it.
- An enum member arrives as a member of a real Enum class, built from the members that travel along.
- OrderedDict, Counter, deque, and a defaultdict of a builtin factory keep their type. Any other
  subclass of a builtin type is refused as an argument; in a result it becomes the builtin.
- Anything else is refused as an argument; in a result it becomes an `Opaque`, which can be looked
  at but not be sent back.
"""

from __future__ import annotations

from collections.abc import Callable

from . import arrays, enums, media, pictures, scalars, structures, tables
from .coding import SCALARS, Decode, DecodeError, Decoder, Encode, EncodeError, Encoder, is_plain, opaque
from .messages import Json
from .pictures import Picture
from .records import Opaque, Record, TupleRecord
from .unknown import otherwise

__all__ = [
    "SCALARS",
    "DecodeError",
    "EncodeError",
    "Opaque",
    "Picture",
    "Record",
    "TupleRecord",
    "decode",
    "encode",
    "reader",
]

# The types of numpy and pandas join on first use (`unknown.otherwise`).
_ENCODERS: dict[type, Encode] = {
    **structures.ENCODERS,
    **scalars.ENCODERS,
    **pictures.ENCODERS,
    **media.ENCODERS,
}
_DECODERS: dict[str, Decode] = {
    **structures.DECODERS,
    **scalars.DECODERS,
    **enums.DECODERS,
    **arrays.DECODERS,
    **tables.DECODERS,
    **pictures.DECODERS,
    **media.DECODERS,
}


def encode(value: object, *, fallback: bool = False, blobs: bool = False) -> Json:
    """`value` as JSON that `decode` turns back.

    Args:
        fallback: for what a tool returned: what cannot be sent becomes an Opaque.
        blobs: for a frame: long bytes are Blobs.

    Raises:
        EncodeError: without `fallback`; the message has the path to the part that cannot be sent.
    """
    if is_plain(value):
        return value
    try:
        return Encoder(_ENCODERS, otherwise, fallback=fallback, blobs=blobs)(value)
    except (EncodeError, RecursionError) as error:
        if fallback:
            return opaque(value)
        if isinstance(error, EncodeError):
            raise
        raise EncodeError("too deep to send from here; flatten it") from None


def decode(data: Json) -> object:
    """The value that `data` stands for. `data` may come from anywhere.

    Raises:
        DecodeError: and nothing else, whatever `data` is.
    """
    return data if type(data) in SCALARS else reader()(data)


def reader() -> Callable[[Json], object]:
    """`decode` for values that belong together: they are bounded as if they were one."""
    decoder = Decoder(_DECODERS)

    def read(data: Json) -> object:
        try:
            return decoder(data)
        except RecursionError:
            raise DecodeError("too deep to read from here") from None

    return read
