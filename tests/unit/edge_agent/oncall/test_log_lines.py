"""Log lines: never a flood, never a secret, and the journal knows their level."""

import ast
import io
import logging
from pathlib import Path

import edge_agent
from edge_agent.oncall.log_lines import MAX_LINE_CHARACTERS, MAX_LINES_IN_WINDOW, LineHandler

PACKAGE = Path(edge_agent.__file__).parent


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def logger_to(stream: io.StringIO, clock: Clock, *, is_journal: bool = False) -> logging.Logger:
    logger = logging.getLogger("edge_agent.test")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.handlers.clear()
    logger.addHandler(LineHandler(stream, {"JOURNAL_STREAM": "8:1"} if is_journal else {}, clock))
    return logger


def test_what_repeats_is_told_some_times_and_then_counted() -> None:
    stream, clock = io.StringIO(), Clock()
    logger = logger_to(stream, clock)

    for number in range(1000):
        logger.warning("node %d: the server answered BadNodeIdUnknown", number)
    logger.info("something else")
    clock.now_s = 61.0
    logger.info("samples: 5 received")

    lines = stream.getvalue().splitlines()
    assert len(lines) == MAX_LINES_IN_WINDOW + 3
    assert "something else" in lines[-3]
    assert "980 lines like this one were left out: node 999: the server" in lines[-2]
    assert "samples: 5 received" in lines[-1]


def test_after_a_quiet_minute_the_same_place_is_heard_again() -> None:
    stream, clock = io.StringIO(), Clock()
    logger = logger_to(stream, clock)

    for minute in range(3):
        clock.now_s = minute * 61.0
        for _ in range(MAX_LINES_IN_WINDOW):
            logger.warning("the disk is full; make room")

    assert stream.getvalue().count("make room") == 3 * MAX_LINES_IN_WINDOW
    assert "left out" not in stream.getvalue()


def test_the_journal_is_told_the_level_of_every_line_and_no_time() -> None:
    stream = io.StringIO()
    logger = logger_to(stream, Clock(), is_journal=True)

    logger.info("well")
    try:
        raise ValueError("a bug")
    except ValueError:
        logger.exception("fault")

    first, *others = stream.getvalue().splitlines()
    assert first == "<6>INFO edge_agent.test: well"
    assert len(others) > 2
    assert all(line.startswith("<3>") for line in others)


def test_what_a_server_says_cannot_forge_lines_or_fill_the_disk() -> None:
    stream = io.StringIO()

    logger_to(stream, Clock()).warning("%s", "\x1b[2Jrefused\r" + "x" * 100_000)

    (line,) = stream.getvalue().splitlines()
    assert "\\x1b[2Jrefused\\x0d" in line
    assert len(line) < MAX_LINE_CHARACTERS + 100


def test_no_log_call_is_given_a_secret_or_a_payload() -> None:
    secret = {"password", "token", "secret", "payload", "body", "lines", "private_key"}

    told = [
        f"{path.name}:{call.lineno} {name}"
        for path in PACKAGE.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == "logger"
        for argument in call.args
        if isinstance(argument, ast.Name | ast.Attribute)
        for name in [argument.id if isinstance(argument, ast.Name) else argument.attr]
        if name in secret
    ]

    assert told == []


def test_every_warning_and_error_says_more_than_that_something_failed() -> None:
    short = [
        f"{path.name}:{call.lineno} {text.value}"
        for path in PACKAGE.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in {"warning", "error"}
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == "logger"
        for text in call.args[:1]
        if isinstance(text, ast.Constant) and isinstance(text.value, str)
        # A line that is all its argument is an error in words, which says what, where and how.
        if text.value.replace("%s", "").strip(" ;:") != "" and len(text.value.split()) < 4
    ]

    assert short == []
