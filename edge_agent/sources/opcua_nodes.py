"""Finds the nodes of the settings on a server: by namespace URI and identifier, or by browse path.

Namespace indices are asked for at each connection, because they may change with a restart of the
server; URIs don't.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from asyncua import Client, ua

from edge_agent.settings_opcua import OpcuaNodeSettings

PATHS_PER_REQUEST: Final = 200


async def resolve_nodes(
    client: Client, nodes: Sequence[OpcuaNodeSettings]
) -> tuple[dict[int, ua.NodeId], dict[int, str]]:
    """Find nodes on the server.

    Parameters
    ----------
    client : Client
        With an open session.
    nodes : sequence of OpcuaNodeSettings
        What to find.

    Returns
    -------
    found : dict of int to NodeId
        Position in `nodes` and id on this server.
    problems : dict of int to str
        Position in `nodes`, and why it was not found with how to mend it.
    """
    uris: list[str] = await client.get_namespace_array()
    index_of = {uri: index for index, uri in enumerate(uris)}
    found: dict[int, ua.NodeId] = {}
    problems: dict[int, str] = {}
    paths: dict[int, ua.BrowsePath] = {}
    for position, node in enumerate(nodes):
        unknown = _unknown_namespace(node, index_of)
        if unknown is not None:
            problems[position] = (
                f"the server has no namespace {unknown}; write one of {', '.join(uris)}"
            )
        elif node.node_id is None:
            paths[position] = _browse_path(node, index_of)
        else:
            try:
                text = f"ns={index_of[node.namespace_uri]};{node.node_id}"
                found[position] = ua.NodeId.from_string(text)
            except (ua.UaError, ValueError) as error:
                problems[position] = f"{error}; correct node_id"
    await _follow(client, nodes, paths, found, problems)
    return found, problems


async def _follow(
    client: Client,
    nodes: Sequence[OpcuaNodeSettings],
    paths: Mapping[int, ua.BrowsePath],
    found: dict[int, ua.NodeId],
    problems: dict[int, str],
) -> None:
    positions = list(paths)
    for start in range(0, len(positions), PATHS_PER_REQUEST):
        part = positions[start : start + PATHS_PER_REQUEST]
        answers = await client.uaclient.translate_browsepaths_to_nodeids([
            paths[position] for position in part
        ])
        for position, answer in zip(part, answers, strict=True):
            targets = [
                target.TargetId
                for target in answer.Targets or []
                # Anything else says that the rest of the path is on another server.
                if target.RemainingPathIndex == ua.UInt32(0xFFFF_FFFF)
            ]
            if answer.StatusCode.is_good() and targets:
                found[position] = _local(targets[0])
            else:
                problems[position] = (
                    f"the server answered {answer.StatusCode.name} to the browse path "
                    f"{nodes[position].place}; correct browse_path, see `staybolt-edge browse`"
                )


def _unknown_namespace(node: OpcuaNodeSettings, index_of: Mapping[str, int]) -> str | None:
    uris = [node.namespace_uri, *(uri for uri, _ in node.qualified_path)]
    return next((uri for uri in uris if uri not in index_of), None)


def _browse_path(node: OpcuaNodeSettings, index_of: Mapping[str, int]) -> ua.BrowsePath:
    elements = [
        _element(ua.QualifiedName(name, index_of[uri])) for uri, name in node.qualified_path
    ]
    return ua.BrowsePath(
        StartingNode=ua.NodeId(ua.Int32(ua.ObjectIds.ObjectsFolder)),
        RelativePath=ua.RelativePath(Elements=elements),
    )


def _element(name: ua.QualifiedName) -> ua.RelativePathElement:
    element = ua.RelativePathElement(
        ReferenceTypeId=ua.NodeId(ua.Int32(ua.ObjectIds.HierarchicalReferences)), TargetName=name
    )
    # asyncua's type of a boolean can't be made.
    element.IsInverse, element.IncludeSubtypes = False, True  # type: ignore[assignment]
    return element


def _local(target: ua.NodeId) -> ua.NodeId:
    return ua.NodeId(target.Identifier, target.NamespaceIndex, target.NodeIdType)
