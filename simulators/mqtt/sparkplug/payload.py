"""The protobuf messages of Sparkplug B, built from the field numbers of its specification.

No generated file: the messages are described here and made when the module is loaded. Only what a
plant's edge node says is described; a reader skips what it does not know, as protobuf has it.

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
_FILE: Final = "staybolt/simulated_sparkplug_b.proto"
_PACKAGE: Final = "org.eclipse.tahu.protobuf"


class DataType(IntEnum):
    """Types of metrics, section 6.4.16."""

    INT32 = 3
    INT64 = 4
    UINT64 = 8
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12


class SparkplugQuality(IntEnum):
    """Values of the property ``Quality``, section 6.4.14."""

    BAD = 0
    GOOD = 192
    STALE = 500


_MESSAGES: Final[dict[str, tuple[tuple[str, int, int, str], ...]]] = {
    "PropertyValue": (
        ("type", 1, _Field.TYPE_UINT32, ""),
        ("is_null", 2, _Field.TYPE_BOOL, ""),
        ("int_value", 3, _Field.TYPE_UINT32, "value"),
        ("long_value", 4, _Field.TYPE_UINT64, "value"),
        ("float_value", 5, _Field.TYPE_FLOAT, "value"),
        ("double_value", 6, _Field.TYPE_DOUBLE, "value"),
        ("boolean_value", 7, _Field.TYPE_BOOL, "value"),
        ("string_value", 8, _Field.TYPE_STRING, "value"),
    ),
    "PropertySet": (
        ("*keys", 1, _Field.TYPE_STRING, ""),
        ("*values:PropertyValue", 2, _Field.TYPE_MESSAGE, ""),
    ),
    "Metric": (
        ("name", 1, _Field.TYPE_STRING, ""),
        ("alias", 2, _Field.TYPE_UINT64, ""),
        ("timestamp", 3, _Field.TYPE_UINT64, ""),
        ("datatype", 4, _Field.TYPE_UINT32, ""),
        ("is_historical", 5, _Field.TYPE_BOOL, ""),
        ("is_transient", 6, _Field.TYPE_BOOL, ""),
        ("is_null", 7, _Field.TYPE_BOOL, ""),
        ("properties:PropertySet", 9, _Field.TYPE_MESSAGE, ""),
        ("int_value", 10, _Field.TYPE_UINT32, "value"),
        ("long_value", 11, _Field.TYPE_UINT64, "value"),
        ("float_value", 12, _Field.TYPE_FLOAT, "value"),
        ("double_value", 13, _Field.TYPE_DOUBLE, "value"),
        ("boolean_value", 14, _Field.TYPE_BOOL, "value"),
        ("string_value", 15, _Field.TYPE_STRING, "value"),
        ("bytes_value", 16, _Field.TYPE_BYTES, "value"),
    ),
    "Payload": (
        ("timestamp", 1, _Field.TYPE_UINT64, ""),
        ("*metrics:Metric", 2, _Field.TYPE_MESSAGE, ""),
        ("seq", 3, _Field.TYPE_UINT64, ""),
        ("uuid", 4, _Field.TYPE_STRING, ""),
        ("body", 5, _Field.TYPE_BYTES, ""),
    ),
}
"""Name (``*`` for repeated, ``:Message`` for its type), number, type and oneof of each field."""


def _describe() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name=_FILE, package=_PACKAGE, syntax="proto2")
    for message_name, fields in _MESSAGES.items():
        message = file.message_type.add(name=message_name)
        for text, number, kind, oneof in fields:
            name, _, type_name = text.lstrip("*").partition(":")
            field = message.field.add(name=name, number=number, type=kind)
            field.label = _Field.LABEL_REPEATED if "*" in text else _Field.LABEL_OPTIONAL
            if type_name:
                field.type_name = f".{_PACKAGE}.{type_name}"
            if oneof:
                if not message.oneof_decl:
                    message.oneof_decl.add(name=oneof)
                field.oneof_index = 0
    return file


def _payload_class() -> Proto:
    pool = descriptor_pool.DescriptorPool()
    pool.Add(_describe())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Payload"))


Payload: Final[Proto] = _payload_class()
"""The message that every topic but STATE carries."""


def add_metric(
    payload: Proto,
    *,
    time_ms: int,
    datatype: DataType,
    value: float | str | bool | None,
    name: str | None = None,
    alias: int | None = None,
    is_historical: bool = False,
) -> Proto:
    """Add a metric to a payload.

    Parameters
    ----------
    payload : Payload
        Added to.
    time_ms : int
        When it was measured. [ms since 1970-01-01 UTC]
    datatype : DataType
        Its type.
    value : float, str, bool or None
        Its value; None becomes a null metric.
    name : str, optional
        Its name; births give it, data leave it out.
    alias : int, optional
        Its alias.
    is_historical : bool
        Whether it is from the past, and not the present value.

    Returns
    -------
    Metric
        Inside the payload.
    """
    metric = payload.metrics.add(timestamp=time_ms, datatype=int(datatype))
    if name is not None:
        metric.name = name
    if alias is not None:
        metric.alias = alias
    if is_historical:
        metric.is_historical = True
    match value:
        case None:
            metric.is_null = True
        case bool():
            metric.boolean_value = value
        case str():
            metric.string_value = value
        case int():
            metric.long_value = value
        case float():
            metric.double_value = value
    return metric


def add_property(metric: Proto, key: str, value: float | str) -> None:
    """Add a property to a metric.

    Parameters
    ----------
    metric : Metric
        Added to.
    key : str
        Name of the property, such as ``Quality`` or ``engUnit``.
    value : int, float or str
        Its value.
    """
    metric.properties.keys.append(key)
    entry = metric.properties.values.add()
    match value:
        case str():
            entry.type, entry.string_value = int(DataType.STRING), value
        case int():
            entry.type, entry.int_value = int(DataType.INT32), value
        case float():
            entry.type, entry.double_value = int(DataType.DOUBLE), value
