"""Walks an OPC UA server's nodes and finds the variables that can be read as samples.

Breadth first along the hierarchy from the Objects folder, with bounds on depth and number, for a
server may have millions of nodes, and loops. Nothing is subscribed to, nothing is written.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from asyncua import Client, ua

NODES_PER_REQUEST: Final = 100
REFERENCES_PER_NODE: Final = 1000
"""More are asked for with BrowseNext."""

NUMBERS: Final = {
    1: "Boolean", 2: "SByte", 3: "Byte", 4: "Int16", 5: "UInt16", 6: "Int32", 7: "UInt32",
    8: "Int64", 9: "UInt64", 10: "Float", 11: "Double",
}  # fmt: skip
"""Data types whose values can be samples, by their number in namespace 0."""

_SERVER: Final = ua.NodeId(ua.Int32(ua.ObjectIds.Server))
_HAS_PROPERTY: Final = ua.NodeId(ua.Int32(ua.ObjectIds.HasProperty))
_BAD_SEVERITY: Final = 0x8000_0000

Part = TypeVar("Part")


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far to walk.

    Parameters
    ----------
    max_depth : int
        Levels below the start.
    max_nodes : int
        Variables that are looked at, at most.
    match, exclude : Pattern or None
        What a variable's path must hold and must not hold.
    """

    max_depth: int = 10
    max_nodes: int = 10_000
    match: re.Pattern[str] | None = None
    exclude: re.Pattern[str] | None = None

    def takes(self, path: Sequence[str]) -> bool:
        """Whether a variable is wanted.

        Parameters
        ----------
        path : sequence of str
            Its browse names from the start.

        Returns
        -------
        bool
            By the two patterns.
        """
        text = "/".join(path)
        return (self.match is None or self.match.search(text) is not None) and (
            self.exclude is None or self.exclude.search(text) is None
        )


@dataclass(slots=True)
class FoundVariable:
    """A variable, and what its server says of it."""

    node_id: ua.NodeId
    path: tuple[str, ...]
    namespace_uri: str
    data_type: str = ""
    unit_text: str = ""
    unit_code: int = -1
    low: float | None = None
    high: float | None = None
    has_history: bool = False
    is_number: bool = False
    why_not: str = ""


@dataclass(slots=True)
class Survey:
    """What a walk found."""

    variables: list[FoundVariable]
    n_seen: int = 0
    is_cut: bool = False
    """Whether bounds ended it before its end."""


async def survey(
    client: Client, bounds: Bounds, tell: Callable[[int, int], None] = lambda _seen, _found: None
) -> Survey:
    """Walk a server.

    Parameters
    ----------
    client : Client
        With an open session.
    bounds : Bounds
        How far.
    tell : callable
        Takes how many nodes were seen and how many variables were found, now and then.

    Returns
    -------
    Survey
        Variables in the order of the walk, with what could be read of them.
    """
    found = Survey([])
    uris: list[str] = await client.get_namespace_array()
    objects = ua.NodeId(ua.Int32(ua.ObjectIds.ObjectsFolder))
    # The server's description of itself is no machine.
    visited = {objects, _SERVER}
    level: list[tuple[ua.NodeId, tuple[str, ...]]] = [(objects, ())]
    for _ in range(bounds.max_depth):
        following: list[tuple[ua.NodeId, tuple[str, ...]]] = []
        for part in _parts(level):
            for (_, path), children in zip(part, await _children(client, part), strict=True):
                for child in children:
                    node_id = _local(child.NodeId)
                    if node_id in visited or child.ReferenceTypeId == _HAS_PROPERTY:
                        continue
                    visited.add(node_id)
                    name = child.BrowseName.Name or str(node_id.Identifier)
                    way = (*path, name)
                    following.append((node_id, way))
                    if child.NodeClass == ua.NodeClass.Variable and bounds.takes(way):
                        uri = uris[node_id.NamespaceIndex] if _is_in(uris, node_id) else ""
                        found.variables.append(FoundVariable(node_id, way, uri))
            found.n_seen = len(visited)
            tell(found.n_seen, len(found.variables))
            if len(found.variables) >= bounds.max_nodes:
                found.variables = found.variables[: bounds.max_nodes]
                found.is_cut = True
                await _describe(client, found.variables)
                return found
        level = following
        if not level:
            break
    found.is_cut = bool(level)
    await _describe(client, found.variables)
    return found


async def _children(
    client: Client, part: Sequence[tuple[ua.NodeId, tuple[str, ...]]]
) -> list[list[ua.ReferenceDescription]]:
    mask = ua.NodeClass.Object | ua.NodeClass.Variable
    descriptions = [_description(node_id, mask) for node_id, _ in part]
    results = await client.uaclient.browse(
        ua.BrowseParameters(
            RequestedMaxReferencesPerNode=REFERENCES_PER_NODE, NodesToBrowse=descriptions
        )
    )
    children: list[list[ua.ReferenceDescription]] = []
    for result in results:
        references = list(result.References or [])
        point = result.ContinuationPoint
        while point:
            parameters = ua.BrowseNextParameters(
                ReleaseContinuationPoints=False, ContinuationPoints=[point]
            )
            (more,) = await client.uaclient.browse_next(parameters)
            references += more.References or []
            point = more.ContinuationPoint
        children.append(references)
    return children


def _description(node_id: ua.NodeId, mask: int) -> Any:  # noqa: ANN401 - asyncua's booleans can't be made
    wanted: Any = ua.BrowseDescription()
    wanted.NodeId = node_id
    wanted.BrowseDirection = ua.BrowseDirection.Forward
    wanted.ReferenceTypeId = ua.NodeId(ua.Int32(ua.ObjectIds.HierarchicalReferences))
    wanted.IncludeSubtypes = True
    wanted.NodeClassMask = mask
    wanted.ResultMask = ua.BrowseResultMask.All
    return wanted


async def _describe(client: Client, variables: Sequence[FoundVariable]) -> None:
    """Read what kind of value each has, and the properties that say what it means."""
    for part in _parts(variables):
        values = await client.uaclient.read_attributes(
            [variable.node_id for variable in part], ua.AttributeIds.Value
        )
        access = await client.uaclient.read_attributes(
            [variable.node_id for variable in part], ua.AttributeIds.AccessLevel
        )
        kinds = await client.uaclient.read_attributes(
            [variable.node_id for variable in part], ua.AttributeIds.DataType
        )
        for variable, value, level, kind in zip(part, values, access, kinds, strict=True):
            _take_value(variable, value, None if kind.Value is None else kind.Value.Value)
            bits = level.Value.Value if level.Value is not None else 0
            variable.has_history = bool((bits or 0) & (1 << ua.AccessLevel.HistoryRead))
        await _take_properties(client, part)


def _take_value(variable: FoundVariable, value: ua.DataValue, data_type: object) -> None:
    status, variant = value.StatusCode, value.Value
    kind = 0 if variant is None else int(variant.VariantType.value)
    is_list = variant is not None and isinstance(variant.Value, list)
    name = "nothing" if variant is None else NUMBERS.get(kind) or variant.VariantType.name
    variable.data_type = f"{name} array" if is_list else str(name)
    if kind in NUMBERS and not is_list:
        variable.is_number = True
    elif (
        kind == 0
        and isinstance(data_type, ua.NodeId)
        and data_type.NamespaceIndex == 0
        and data_type.Identifier in NUMBERS
    ):
        # No value at the moment, but one day a number.
        variable.data_type, variable.is_number = NUMBERS[int(data_type.Identifier)], True
    elif status is not None and status.value & _BAD_SEVERITY:
        # It may have a number tomorrow; whoever chooses it knows.
        variable.why_not = f"it has no value now ({status.name})"
    else:
        variable.why_not = f"its value is {variable.data_type}, and a sample is a number"


async def _take_properties(client: Client, part: Sequence[FoundVariable]) -> None:
    children = await _children(client, [(variable.node_id, variable.path) for variable in part])
    wanted = [
        (variable, child.BrowseName.Name, _local(child.NodeId))
        for variable, references in zip(part, children, strict=True)
        for child in references
        if child.BrowseName.Name in {"EngineeringUnits", "EURange"}
    ]
    for some in _parts(wanted):
        values = await client.uaclient.read_attributes(
            [node_id for _, _, node_id in some], ua.AttributeIds.Value
        )
        for (variable, name, _), value in zip(some, values, strict=True):
            told: Any = None if value.Value is None else value.Value.Value
            if name == "EURange" and told is not None:
                variable.low, variable.high = (
                    getattr(told, "Low", None),
                    getattr(told, "High", None),
                )
            elif told is not None:
                variable.unit_code = int(getattr(told, "UnitId", -1))
                variable.unit_text = getattr(getattr(told, "DisplayName", None), "Text", "") or ""


def _is_in(uris: Sequence[str], node_id: ua.NodeId) -> bool:
    return node_id.NamespaceIndex < len(uris)


def _local(target: ua.NodeId) -> ua.NodeId:
    return ua.NodeId(target.Identifier, target.NamespaceIndex, target.NodeIdType)


def _parts(entries: Sequence[Part]) -> Iterator[Sequence[Part]]:
    for start in range(0, len(entries), NODES_PER_REQUEST):
        yield entries[start : start + NODES_PER_REQUEST]
