"""What a store says about single lines is used where it fits the lines that were sent."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.messages import Refused
from edge_agent.refusals import MAX_REASON_CHARACTERS, read_document, read_refusal

BODY = b"m,machine=a value=1 1\nm,machine=b value= 2\nm,machine=c value=3 3\n"
N_LINES = 3


def refusal(document: dict[str, Any], body: bytes = BODY) -> Refused:
    return read_refusal(400, document, body)


def test_influxdb_1_and_2_repeat_the_lines_they_cannot_parse() -> None:
    words = (
        "unable to parse 'm,machine=b value= 2': missing field value\n"
        "unable to parse 'm,machine=c value=3 3': bad timestamp"
    )

    for key in ("error", "message"):
        assert refusal({key: words}).named == (
            (1, "missing field value"),
            (2, "bad timestamp"),
        )
    partial = refusal({"error": f"partial write: {words} dropped=0"})
    assert partial.named == ((1, "missing field value"), (2, "bad timestamp"))
    assert not partial.is_all


def test_a_line_may_hold_the_very_characters_that_end_it() -> None:
    line = b"m,machine=it's':\\ x value=1 1"
    words = f"unable to parse '{line.decode()}': bad': worse"

    assert refusal({"error": words}, line + b"\n").named == ((0, "bad': worse"),)


def test_influxdb_1_tells_when_it_took_nothing() -> None:
    words = "partial write: field type conflict: input field dropped=3"

    assert refusal({"error": words}) == Refused(f"400 {words}", is_all=True)
    assert not refusal({"error": words.replace("=3", "=2")}).is_all


def test_influxdb_3_gives_a_list() -> None:
    bad = {"original_line": "m,machine=b value", "line_number": 2, "error_message": "no value"}

    assert refusal({"error": "partial write", "data": [bad]}).named == ((1, "no value"),)
    assert refusal({"error": "partial write", "data": bad}).named == ((1, "no value"),)


@pytest.mark.parametrize(
    "data",
    [
        [{"original_line": "m,machine=a value", "line_number": 2, "error_message": "x"}],
        [{"original_line": "m,machine=b value", "line_number": 9, "error_message": "x"}],
        [{"original_line": "", "line_number": 2, "error_message": "x"}],
        [{"line_number": 2}, "strange"],
        "strange",
        7,
    ],
)
def test_a_list_that_does_not_fit_what_was_sent_is_worth_nothing(data: object) -> None:
    assert refusal({"error": "partial write", "data": data}).named == ()


def test_ingest_promises_that_the_rest_is_stored_if_its_list_is_whole() -> None:
    document = {
        "message": "partial write: line 2: no value; dropped=1",
        "set_aside": [{"line": 2, "reason": "no value"}],
        "is_rest_stored": True,
    }

    whole = refusal(document)
    cut = refusal(document | {"message": "partial write: dropped=2"})
    silent = refusal(document | {"is_rest_stored": False})

    assert (whole.named, whole.is_rest_stored) == (((1, "no value"),), True)
    assert not cut.is_rest_stored
    assert not silent.is_rest_stored


@given(
    document=st.dictionaries(
        st.sampled_from(["message", "error", "data", "set_aside", "is_rest_stored"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=30),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["line", "line_number", "original_line", "reason"]), inner
                )
            ),
            max_leaves=8,
        ),
    )
)
def test_no_answer_breaks_the_reader_or_names_lines_that_were_not_sent(
    document: dict[str, Any],
) -> None:
    read = read_document(json.dumps(document).encode())
    assert read is not None

    refused = read_refusal(400, read, BODY)

    assert all(0 <= place < N_LINES for place, _ in refused.named)
    assert all(len(reason) <= MAX_REASON_CHARACTERS for _, reason in refused.named)
