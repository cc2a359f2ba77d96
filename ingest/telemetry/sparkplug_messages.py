"""The protobuf messages of Sparkplug B, from the field numbers of its specification.

No generated file: the messages are described here and made when the module is loaded, by
protobuf's C parser where the platform has a wheel. Datasets, templates and metadata are declared
as plain bytes, which have the same form on the wire: they are never opened, so a bomb nested
inside them costs nothing. Text is bytes too, so that it is we who say what happens to bad UTF-8.

References
----------
.. [1] Eclipse Sparkplug Specification, version 3.0.0, 2022, section 6.4: Google Protocol Buffer
   schema and data types.
"""

from enum import IntEnum
from typing import Any, Final, TypeAlias

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

Proto: TypeAlias = Any
"""A protobuf message, or its class: made when the module is loaded, so unknown to type checkers."""

_Field = descriptor_pb2.FieldDescriptorProto
_PACKAGE: Final = "staybolt.sparkplug_b"


class DataType(IntEnum):
    """Types of metrics and properties, section 6.4.16; the arrays (22 to 34) are left out."""

    UNKNOWN = 0
    INT8 = 1
    INT16 = 2
    INT32 = 3
    INT64 = 4
    UINT8 = 5
    UINT16 = 6
    UINT32 = 7
    UINT64 = 8
    FLOAT = 9
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    DATETIME = 13
    TEXT = 14
    UUID = 15
    DATASET = 16
    BYTES = 17
    FILE = 18
    TEMPLATE = 19
    PROPERTY_SET = 20
    PROPERTY_SET_LIST = 21


_MESSAGES: Final[dict[str, tuple[tuple[str, int, int], ...]]] = {
    "PropertyValue": (
        ("type", 1, _Field.TYPE_UINT32),
        ("is_null", 2, _Field.TYPE_BOOL),
        ("|int_value", 3, _Field.TYPE_UINT32),
        ("|long_value", 4, _Field.TYPE_UINT64),
        ("|float_value", 5, _Field.TYPE_FLOAT),
        ("|double_value", 6, _Field.TYPE_DOUBLE),
        ("|boolean_value", 7, _Field.TYPE_BOOL),
        ("|string_value", 8, _Field.TYPE_BYTES),
        ("|propertyset_value", 9, _Field.TYPE_BYTES),
        ("|propertysets_value", 10, _Field.TYPE_BYTES),
    ),
    "PropertySet": (
        ("*keys", 1, _Field.TYPE_BYTES),
        ("*values:PropertyValue", 2, _Field.TYPE_MESSAGE),
    ),
    "Metric": (
        ("name", 1, _Field.TYPE_BYTES),
        ("alias", 2, _Field.TYPE_UINT64),
        ("timestamp", 3, _Field.TYPE_UINT64),
        ("datatype", 4, _Field.TYPE_UINT32),
        ("is_historical", 5, _Field.TYPE_BOOL),
        ("is_transient", 6, _Field.TYPE_BOOL),
        ("is_null", 7, _Field.TYPE_BOOL),
        ("metadata", 8, _Field.TYPE_BYTES),
        ("properties:PropertySet", 9, _Field.TYPE_MESSAGE),
        ("|int_value", 10, _Field.TYPE_UINT32),
        ("|long_value", 11, _Field.TYPE_UINT64),
        ("|float_value", 12, _Field.TYPE_FLOAT),
        ("|double_value", 13, _Field.TYPE_DOUBLE),
        ("|boolean_value", 14, _Field.TYPE_BOOL),
        ("|string_value", 15, _Field.TYPE_BYTES),
        ("|bytes_value", 16, _Field.TYPE_BYTES),
        ("|dataset_value", 17, _Field.TYPE_BYTES),
        ("|template_value", 18, _Field.TYPE_BYTES),
        ("|extension_value", 19, _Field.TYPE_BYTES),
    ),
    "Payload": (
        ("timestamp", 1, _Field.TYPE_UINT64),
        ("*metrics:Metric", 2, _Field.TYPE_MESSAGE),
        ("seq", 3, _Field.TYPE_UINT64),
        ("uuid", 4, _Field.TYPE_BYTES),
        ("body", 5, _Field.TYPE_BYTES),
    ),
    # The same bytes with every metric left unopened, to count them before they are.
    "Outline": (("*metrics", 2, _Field.TYPE_BYTES),),
}
"""Name (``*`` repeated, ``|`` one of the message's values, ``:Message`` its type), number, type."""


def _describe() -> descriptor_pb2.FileDescriptorProto:
    # proto2, as the specification has it: a field that was sent as 0 differs from one not sent.
    file = descriptor_pb2.FileDescriptorProto(
        name="staybolt/sparkplug_b.proto", package=_PACKAGE, syntax="proto2"
    )
    for message_name, fields in _MESSAGES.items():
        message = file.message_type.add(name=message_name)
        for text, number, kind in fields:
            name, _, type_name = text.lstrip("*|").partition(":")
            field = message.field.add(name=name, number=number, type=kind)
            field.label = _Field.LABEL_REPEATED if "*" in text else _Field.LABEL_OPTIONAL
            if type_name:
                field.type_name = f".{_PACKAGE}.{type_name}"
            if "|" in text:
                if not message.oneof_decl:
                    message.oneof_decl.add(name="value")
                field.oneof_index = 0
    return file


def _classes() -> tuple[Proto, Proto]:
    pool = descriptor_pool.DescriptorPool()
    pool.Add(_describe())
    payload, outline = (
        message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in ("Payload", "Outline")
    )
    return payload, outline


_made = _classes()
PayloadMessage: Final[Proto] = _made[0]
"""What every topic but STATE carries."""

OutlineMessage: Final[Proto] = _made[1]
"""A payload of which only the number of metrics is of interest."""
