"""Data flow again soon after an OPC UA server or its line returns: `edge_recovery`, small."""

from pathlib import Path

from tests.reliability.opcua_return import line_returns_s, scene, server_returns_s

PATIENT_S = 15.0
"""The rule allows 2 s on a machine that has time; see the benchmark edge_recovery."""


def test_data_flow_again_soon_after_server_or_line_return(tmp_path: Path) -> None:
    with scene(tmp_path) as one:
        took = [
            server_returns_s(one, 2.0),
            line_returns_s(one, "refuse", 2.0),
            line_returns_s(one, "half-open", 8.0),
        ]
        said = one.agent.said()

    assert max(took) < PATIENT_S, (took, said)
    assert "the server has kept our subscription" in said
