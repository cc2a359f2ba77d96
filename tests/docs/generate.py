"""Write the reference pages from the code: `make docs`. A test holds the pages equal to it."""

import argparse
import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.servers.availability import ROOT

PROGRAMS: Final = {
    "staybolt": "api.__main__",
    "staybolt-edge": "edge_agent.__main__",
    "staybolt-ingest": "ingest.__main__",
    "staybolt-sim": "simulators.__main__",
}
SAMPLES: Final = {
    "Edge agent (`edge.toml`)": "edge_agent/sample_config.toml",
    "Ingest (`ingest.toml`)": "ingest/sample_config.toml",
    "Server (`staybolt.toml`)": "api/sample_config.toml",
}
HEADER: Final = "<!-- Written by `make docs` from the code; change the code instead. -->\n\n"


def command_line_page() -> str:
    """Every program, command and option, from the parsers themselves."""
    page = HEADER + "# Command line\n\nEvery program explains itself with `--help`.\n"
    for program, module in PROGRAMS.items():
        parser = importlib.import_module(module).build_parser()
        for name, command in _commands(program, parser):
            page += f"\n## `{name}`\n\n{' '.join((command.description or '').split())}\n"
            page += "".join(_options(command))
    return page


def _commands(
    name: str, parser: argparse.ArgumentParser
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    yield name, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child, command in action.choices.items():
                yield from _commands(f"{name} {child}", command)


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    rows = []
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction | argparse._SubParsersAction):
            continue
        names = ", ".join(f"`{name}`" for name in action.option_strings) or f"`{action.dest}`"
        values = f" {{{', '.join(map(str, action.choices))}}}" if action.choices else ""
        text = " ".join((action.help or "").split()) % {
            "default": action.default,
            "prog": parser.prog,
        }
        rows.append(f"| {names}{values} | {text.replace('|', '/')} |\n")
    if rows:
        yield "\n| option | meaning |\n|---|---|\n"
        yield from rows


def http_api_page() -> str:
    """Every endpoint and field, from OpenAPI."""
    document = openapi()
    page = HEADER + (
        "# HTTP API\n\nServed by `staybolt serve`; the same document for machines is at "
        "`/openapi.json`. Errors are `application/problem+json`.\n"
    )
    for path, operations in sorted(document["paths"].items()):
        for method, operation in sorted(operations.items()):
            page += f"\n## `{method.upper()} {path}`\n\n{operation.get('summary', '')}\n"
            if operation.get("description"):
                page += f"\n{' '.join(operation['description'].split('Parameters')[0].split())}\n"
            parameters = operation.get("parameters", [])
            if parameters:
                page += "\n| parameter | in | meaning |\n|---|---|---|\n"
                for parameter in parameters:
                    meaning = " ".join(parameter.get("description", "").split())
                    page += f"| `{parameter['name']}` | {parameter['in']} | {meaning} |\n"
            shape = _shape_of(operation)
            if shape:
                page += f"\nAnswers with {shape}.\n"
    page += "\n# Shapes\n"
    for name, schema in sorted(document["components"]["schemas"].items()):
        page += f"\n## {name}\n\n{' '.join(schema.get('description', '').split())}\n"
        properties = schema.get("properties", {})
        if properties:
            page += "\n| field | type | meaning |\n|---|---|---|\n"
            for field, detail in properties.items():
                meaning = " ".join(detail.get("description", "").split()).replace("|", "/")
                page += f"| `{field}` | {_type_of(detail)} | {meaning} |\n"
    return page


def openapi() -> dict[str, Any]:
    """OpenAPI document of the server, as it would be served."""
    return dict(importlib.import_module("api.app").openapi_document())


def _shape_of(operation: dict[str, Any]) -> str:
    content = operation["responses"].get("200", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    return _type_of(schema) if schema else ""


def _type_of(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_type_of(option) for option in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_type_of(schema.get('items', {}))}"
    if "enum" in schema:
        return ", ".join(json.dumps(value) for value in schema["enum"])
    return str(schema.get("format") or schema.get("type") or "any")


def settings_page() -> str:
    """Every setting, from the sample files that ship and that the tests load."""
    page = HEADER + (
        "# Settings\n\nThe sample files that ship; each is loaded by a test, and unknown keys are "
        "refused.\n"
    )
    for title, sample in SAMPLES.items():
        page += f"\n## {title}\n\n```toml\n{(ROOT / sample).read_text().strip()}\n```\n"
    return page


def edge_metrics_page() -> str:
    """Every metric of the edge agent, from the module that tells them."""
    metrics = importlib.import_module("edge_agent.oncall.metrics")
    page = HEADER + (
        "# Metrics of the edge agent\n\nAnswered at `/metrics` in the text format of Prometheus; "
        "[how the agent tells about itself](../edge-agent.md#how-it-tells-about-itself). Counters "
        "begin at 0 when the agent is started, but for those of the outbox, which it keeps on "
        "disk.\n\n| metric | kind | label | meaning |\n|---|---|---|---|\n"
    )
    for metric in metrics.all_metrics():
        label = f"`{metric.label}`" if metric.label else ""
        meaning = metric.meaning.replace("|", "/")
        page += f"| `{metrics.PREFIX}{metric.name}` | {metric.kind} | {label} | {meaning} |\n"
    return page


PAGES: Final = {
    "docs/reference/command-line.md": command_line_page,
    "docs/reference/edge-metrics.md": edge_metrics_page,
    "docs/reference/http-api.md": http_api_page,
    "docs/reference/settings.md": settings_page,
}


def main() -> int:
    """Write every page."""
    for name, page in PAGES.items():
        path = Path(ROOT / name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page())
        sys.stdout.write(f"{name} written\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
