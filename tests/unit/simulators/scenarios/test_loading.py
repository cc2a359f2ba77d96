"""Scenarios that can't be are refused with file, key and remedy before anything starts."""

import math
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.__main__ import main
from simulators.conditions import SHIFT_PLANS
from simulators.errors import ScenarioError
from simulators.faults.sensors import SENSOR_FAULT_KINDS
from simulators.machines import KINDS
from simulators.plant.machine import build_plant
from simulators.scenarios import schema
from simulators.scenarios.loading import load_scenario, scenario_names, scenario_path

GOOD = """
description = "one pump"
site = "mill-7"
[[machines]]
name = "pump-01"
kind = "centrifugal-pump"
"""


def write(folder: Path, text: str) -> str:
    path = folder / "own.toml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", scenario_names())
def test_every_scenario_of_ours_is_possible(name: str) -> None:
    scenario = load_scenario(name)

    machines = build_plant(
        scenario.roles, seed=7, now_ns=1_795_384_437_000_000_000,
        history_days=scenario.file.clock.history_days,
    )  # fmt: skip
    assert len(machines) == len(scenario.roles) > 0


def test_demo_toml_explains_every_option() -> None:
    text = scenario_path("demo").read_text()

    for section in vars(schema).values():
        if isinstance(section, type) and issubclass(section, schema.Section):
            for key in section.model_fields:
                assert key in text, f"{section.__name__}.{key}"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ('speeed = 3', "own.toml, machines[0].speeed: unknown key; known are"),
        ('formt = "json"', "machines[0].formt: unknown key; did you mean format?"),
        ('kind = "pony"', "kind 'pony' is not known; choose among bearing-conveyor"),
        ('modes = ["rust"]', "a centrifugal-pump has no 'rust'; choose among wear-ring-erosion"),
        ('count = 0', "greater than or equal to 1"),
        ('protocol = "opcua"', "server is missing"),
        ('server = "s"', "server is for OPC UA"),
        ("utc_offset_h = 30", "less than or equal to 14"),
        ("product_load_ratio = [-1.0, 1.0, 1.0]", "asks of the machine what none does"),
        ("story = { fails_in_days = [5.0, 1.0] }", "runs from 5 down to 1"),
        ("story = { fails_in_days = [1.0, 2.0], wear_now = [0.0, 1.5] }", "less than or equal"),
        ("maintenance = { perfect_probability = 0.8, imperfect_probability = 0.8 }", "at most 1"),
        ("maintenance = { planned_every_days = -3.0 }", "greater than or equal to 1"),
        ("[[sensor_faults]]\nmachine='pump-02'\nsignal='x'\nfault='bad'", "no machine 'pump-02'"),
        ("[[sensor_faults]]\nmachine='pump-01'\nsignal='x'\nfault='bad'", "has no signal 'x'"),
        (
            "[[sensor_faults]]\nmachine='pump-01'\nsignal='flow_m3_h'\nfault='drift'",
            "own.toml, sensor_faults[0]: fault drift of pump-01 flow_m3_h: give size",
        ),
        (
            "[[sensor_faults]]\nmachine='pump-01'\nsignal='flow_m3_h'\nfault='bad'\nfrom_days=nan",
            "own.toml, sensor_faults[0].from_days: 'nan': input should be a finite number",
        ),
        (
            "[[sensor_faults]]\nmachine='pump-01'\nsignal='flow_m3_h'\nfault='spikes'\nsize=1.0\n"
            "every_h=1e-9",
            "sensor_faults[0].every_h: '1e-09': input should be greater than or equal to 0.01",
        ),
        ("story = { fails_in_days = [nan, nan] }", "story.fails_in_days[0]: 'nan'"),
        ("story = { fails_in_days = [1.0, 2.0] }\nmodes = ['seal-leak']", "leave modes out"),
        (
            "story = { fails_in_days = [1.0, 2.0] }\nmaintenance = {}",
            "machines[0]: maintenance is for machines without a story",
        ),
        ("modes = ['seal-leak', 'seal-leak']", "names one twice"),
        ("maintenance = { kept_wear_ratio = [0.9, 0.1] }", "own.toml, machines[0]: maintenance:"),
        ("maintenance = { planned_every_days = 1e-9 }", "greater than or equal to 1"),
        ("[clock]\nhistory_days = inf", "clock.history_days: 'inf': input should be a finite"),
        ("[clock]\nhistory_days = 1e12", "less than or equal to 3653"),
        ("[delivery]\nclock_offset_s = 1e300", "delivery.clock_offset_s"),
        ("[opcua]\npolicies = []", "opcua.policies"),
        ("[opcua]\nusers = 1", "opcua.users: '1': input should be a valid boolean"),
        ("[delivery]\nlate_probability = 1.5", "delivery.late_probability"),
        ("[clock]\nfast_h_per_s = -1.0", "clock.fast_h_per_s"),
        ("[[machines]]\nname='pump-01'\nkind='gearbox'", "'pump-01' is there twice"),
    ],
)  # fmt: skip
def test_what_can_not_be_is_refused(tmp_path: Path, more: str, words: str) -> None:
    text = GOOD.replace('kind = "centrifugal-pump"\n', "") if more.startswith("kind") else GOOD

    with pytest.raises(ScenarioError) as refusal:
        load_scenario(write(tmp_path, f"{text}{more}\n"))

    assert words in str(refusal.value)
    assert str(refusal.value).startswith("own.toml")


@given(st.dictionaries(st.text("abcdefghij_", min_size=3, max_size=12), st.integers(), min_size=1))
def test_unknown_keys_are_named_wherever_they_stand(
    tmp_path_factory: pytest.TempPathFactory, keys: dict[str, Any]
) -> None:
    table = tomllib.loads(GOOD)
    unknown = set(keys) - set(schema.MachineSection.model_fields)
    lines = [f"{key} = {keys[key]}" for key in unknown]
    path = write(tmp_path_factory.mktemp("s"), GOOD + "\n".join(lines))

    if unknown and table:
        with pytest.raises(ScenarioError) as refusal:
            load_scenario(path)
        assert all(f"machines[0].{key}: unknown key" in str(refusal.value) for key in unknown)


NUMBERS = (
    "[clock]\nhistory_days = {}",
    "[clock]\nfast_h_per_s = {}",
    "[delivery]\nlate_probability = {}",
    "[delivery]\nclock_offset_s = {}",
    "[opcua]\nhistory_values = {}",
    "count = {}",
    "utc_offset_h = {}",
    "product_load_ratio = [{}, 1.0, 1.0]",
    "story = {{ fails_in_days = [{}, 30.0] }}",
    "story = {{ fails_in_days = [1.0, 2.0], wear_now = [{}, 1.0] }}",
    "maintenance = {{ planned_every_days = {} }}",
    "maintenance = {{ perfect_probability = {} }}",
    "[[sensor_faults]]\nmachine='pump-01'\nsignal='flow_m3_h'\nfault='dropout'\nlasting_h=1.0\n"
    "every_h={}",
    "[[sensor_faults]]\nmachine='pump-01'\nsignal='flow_m3_h'\nfault='drift'\nsize=1.0\n"
    "from_days={}",
)


@given(option=st.sampled_from(NUMBERS), number=st.floats() | st.integers(-(10**20), 10**20))
def test_any_number_anywhere_is_possible_or_refused_with_its_key(
    tmp_path_factory: pytest.TempPathFactory, option: str, number: float
) -> None:
    key = option.rpartition("\n")[2].partition("=")[0].strip()
    path = write(tmp_path_factory.mktemp("s"), GOOD + option.format(number))

    refusal = refusal_of(path)

    if refusal is None:
        assert math.isfinite(number)
        assert load_scenario(path).sensor_faults(1_795_384_437_000_000_000) is not None
    else:
        assert refusal.startswith("own.toml, ")
        assert key in refusal


def refusal_of(path: str) -> str | None:
    try:
        load_scenario(path)
    except ScenarioError as error:
        return str(error)
    return None


def test_a_machine_that_is_refused_is_told_of_once(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError) as refusal:
        load_scenario(write(tmp_path, GOOD + 'utc_offset_h = 99\ncolour = "red"\n'))

    lines = str(refusal.value).splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "own.toml, machines[0].utc_offset_h",
        "own.toml, machines[0].colour",
    ]


def test_what_is_not_toml_or_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="is not TOML"):
        load_scenario(write(tmp_path, "this = = wrong"))
    with pytest.raises(ScenarioError, match="'mars' is not known; choose one of"):
        load_scenario("mars")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["list"], "two-pumps"),
        (["list", "scenarios", "two-pumps"], "the smallest plant"),
        (["list", "kinds"], "hydraulic-press"),
        (["list", "kinds", "gearbox"], "tooth-crack"),
        (["list", "faults"], "half-open"),
        (["list", "replays"], "tep-normal"),
        (["list", "replays", "skab"], "explains every option of a mapping"),
    ],
)
def test_list_shows_what_there_is(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 0

    assert words in capsys.readouterr().out


@pytest.mark.parametrize("what", ["scenarios", "kinds", "replays"])
def test_list_refuses_what_there_is_not(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", what, "pony"]) == 2

    message = capsys.readouterr().err
    assert "'pony' is" in message
    assert "choose one of" in message


def test_the_shipped_scenarios_cover_every_kind_plan_format_and_sensor_fault() -> None:
    files = [load_scenario(name).file for name in scenario_names()]

    sections = [section for file in files for section in file.machines]
    assert {section.kind for section in sections} == set(KINDS)
    assert {section.shift_plan for section in sections} == set(SHIFT_PLANS)
    assert {s.format for s in sections if s.protocol == "mqtt"} == {"json", "line", "sparkplug"}
    assert {fault.fault for file in files for fault in file.sensor_faults} == set(
        SENSOR_FAULT_KINDS
    )


def test_parts_of_a_scenario_are_its_machines_dealt_out() -> None:
    whole = load_scenario("demo")

    parts = [whole.part(number, 3) for number in (1, 2, 3)]

    machines = [role.outlet.machine for part in parts for role in part.roles]
    assert sorted(machines) == sorted(role.outlet.machine for role in whole.roles)
    assert [{role.outlet.server for role in part.roles} for part in parts] == [
        {""}, {"conveyors"}, {"spindles"},
    ]  # fmt: skip
    now_ns = 1_795_384_437_000_000_000
    (first, *_) = build_plant(parts[1].roles, seed=7, now_ns=now_ns)
    same = next(
        machine
        for machine in build_plant(whole.roles, seed=7, now_ns=now_ns)
        if machine.outlet.machine == first.outlet.machine
    )
    assert first.lives.until(1e6)[0].stopped_h == same.lives.until(1e6)[0].stopped_h


@pytest.mark.parametrize("part", ["4/3", "0/3", "5/5", "one"])
def test_a_part_that_is_not_there_is_refused(
    part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["run", "--dir", str(tmp_path), "--part", part, "--trust-client", "none.der"]

    assert main(arguments) == 2

    assert "--part: " in capsys.readouterr().err
