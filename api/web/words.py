"""Says what the services answer as people would: signals, kinds, reasons, drivers.

Sentences are made from structured fields and never from another sentence, so that both languages
say the same.
"""

import math
from typing import Final, assert_never

from markupsafe import Markup, escape

from analytics.retention.churn_features import CHURN_FEATURES, FeatureSpec
from api.health.schemas import AlarmReading, Contribution, HealthReading, MachineState
from api.planning.schemas import ProposalReading
from api.retention.schemas import Driver
from api.web.catalogue import N_
from api.web.language import Speech
from api.words import plain_name

KINDS: Final = {
    "bearing-conveyor": N_("Bearing conveyor"),
    "centrifugal-pump": N_("Centrifugal pump"),
    "machining-spindle": N_("Machining spindle"),
    "turbofan-fd001": N_("Turbofan engine FD001"),
}

SIGNALS: Final = {
    "vibration_mm_s": N_("Vibration"),
    "acceleration_kurtosis_ratio": N_("Acceleration kurtosis"),
    "bearing_temperature_c": N_("Bearing temperature"),
    "motor_current_a": N_("Motor current"),
    "speed_rpm": N_("Speed"),
    "discharge_pressure_bar": N_("Discharge pressure"),
    "flow_m3_h": N_("Flow"),
    "motor_power_kw": N_("Motor power"),
    "seal_temperature_c": N_("Seal temperature"),
    "spindle_power_kw": N_("Spindle power"),
    "spindle_temperature_c": N_("Spindle temperature"),
    "torque_nm": N_("Torque"),
    "fan_inlet_temperature_rankine": N_("Fan inlet temperature"),
    "lpc_outlet_temperature_rankine": N_("LPC outlet temperature"),
    "hpc_outlet_temperature_rankine": N_("HPC outlet temperature"),
    "lpt_outlet_temperature_rankine": N_("LPT outlet temperature"),
    "fan_inlet_pressure_psia": N_("Fan inlet pressure"),
    "bypass_duct_pressure_psia": N_("Bypass duct pressure"),
    "hpc_outlet_pressure_psia": N_("HPC outlet pressure"),
    "fan_speed_rpm": N_("Fan speed"),
    "core_speed_rpm": N_("Core speed"),
    "engine_pressure_ratio": N_("Engine pressure ratio"),
    "hpc_outlet_static_pressure_psia": N_("HPC outlet static pressure"),
    "fuel_flow_pps_psi": N_("Fuel flow to HPC pressure"),
    "corrected_fan_speed_rpm": N_("Corrected fan speed"),
    "corrected_core_speed_rpm": N_("Corrected core speed"),
    "bypass_ratio": N_("Bypass ratio"),
    "burner_fuel_air_ratio": N_("Burner fuel-air ratio"),
    "bleed_enthalpy_count": N_("Bleed enthalpy"),
    "demanded_fan_speed_rpm": N_("Demanded fan speed"),
    "demanded_corrected_fan_speed_rpm": N_("Demanded corrected fan speed"),
    "hpt_coolant_bleed_lbm_s": N_("HPT coolant bleed"),
    "lpt_coolant_bleed_lbm_s": N_("LPT coolant bleed"),
}

EXPECTED: Final = "expected_downtime_h_per_machine_30d"

_SPECS: Final = {spec.name: spec for spec in CHURN_FEATURES}


def kind_name(speech: Speech, kind: str) -> Markup:
    """Name a kind of machine.

    Parameters
    ----------
    speech : Speech
        The language.
    kind : str
        As in the registry.

    Returns
    -------
    Markup
        Its name; the registry's own word for kinds that are not ours.
    """
    return speech.say(KINDS[kind]) if kind in KINDS else escape(kind)


def signal_name(speech: Speech, signal: str) -> Markup:
    """Name a signal without its unit.

    Parameters
    ----------
    speech : Speech
        The language.
    signal : str
        As in telemetry.

    Returns
    -------
    Markup
        Its name; made from the signal's own words for those that are not ours.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> print(signal_name(Speech("en", datetime(2026, 1, 1, tzinfo=UTC)), "oil_level_mm"))
    Oil level
    """
    if signal in SIGNALS:
        return speech.say(SIGNALS[signal])
    return escape(plain_name(signal).capitalize())


def unit_text(unit: str | None) -> str:
    """Write a unit; bare numbers have none.

    Parameters
    ----------
    unit : str or None
        As in telemetry.

    Returns
    -------
    str
        Empty for bare numbers.
    """
    return "" if unit in {None, "1"} else str(unit)


def tidy(code: str) -> str:
    """Write a code of the registry as a person would.

    Parameters
    ----------
    code : str
        Such as ``central-europe``.

    Returns
    -------
    str
        Words, each with a capital; text with spaces or capitals of its own stays as it is.

    Examples
    --------
    >>> tidy("central-europe"), tidy("EMEA north")
    ('Central Europe', 'EMEA north')
    """
    return code.replace("-", " ").replace("_", " ").title() if code.islower() else code


def state_name(speech: Speech, state: MachineState) -> Markup:
    """Name the state of a machine.

    Parameters
    ----------
    speech : Speech
        The language.
    state : str
        The state.

    Returns
    -------
    Markup
        One word or two.
    """
    match state:
        case "alarm":
            return speech.say("Alarm")
        case "watch":
            return speech.say("Watch")
        case "normal":
            return speech.say("Normal")
        case "unknown":
            return speech.say("Not judged")
        case _:
            assert_never(state)


def contribution_words(speech: Speech, one: Contribution) -> Markup:
    """Say how far a signal stands from healthy.

    Parameters
    ----------
    speech : Speech
        The language.
    one : Contribution
        The signal and its distance.

    Returns
    -------
    Markup
        A short sentence without a full stop.
    """
    signal, z = signal_name(speech, one.signal), one.robust_z
    spreads = speech.number(abs(z), 1)
    if abs(z) < 1.0:
        return speech.say("{signal} is within its healthy band", signal=signal)
    if z > 0:
        return speech.say("{signal} is {z} spreads above healthy", signal=signal, z=spreads)
    return speech.say("{signal} is {z} spreads below healthy", signal=signal, z=spreads)


def top_contribution(speech: Speech, health: HealthReading | None) -> Markup | None:
    """Say the strongest reason behind a state of health.

    Parameters
    ----------
    speech : Speech
        The language.
    health : HealthReading or None
        The health.

    Returns
    -------
    Markup or None
        None where nothing stands out.
    """
    known = [] if health is None else [c for c in health.contributions if abs(c.robust_z) >= 1.0]
    return contribution_words(speech, max(known, key=lambda c: abs(c.robust_z))) if known else None


def note_words(speech: Speech, health: HealthReading) -> Markup | None:
    """Say why an estimate is missing or weak.

    Parameters
    ----------
    speech : Speech
        The language.
    health : HealthReading
        The health.

    Returns
    -------
    Markup or None
        None where there is nothing to say.
    """
    if health.note is None:
        return None
    if speech.language == "en":
        return escape(health.note)
    if health.remaining_useful_life.median_h is None:
        return speech.say("There are too few samples to say how long it has left.")
    return speech.say("Few machines of its kind went this way, so the estimate is weak.")


def alarm_words(speech: Speech, alarm: AlarmReading) -> Markup:
    """Say what an alarm found.

    Parameters
    ----------
    speech : Speech
        The language.
    alarm : AlarmReading
        The alarm.

    Returns
    -------
    Markup
        A sentence without a full stop.
    """
    return speech.say(
        "{signal} left its healthy band (anomaly score {score} of 1)",
        signal=signal_name(speech, alarm.signal),
        score=speech.number(alarm.score_ratio, 2),
    )


def proposal_words(speech: Speech, proposal: ProposalReading) -> Markup:
    """Say why a visit is proposed.

    Parameters
    ----------
    speech : Speech
        The language.
    proposal : ProposalReading
        The proposal.

    Returns
    -------
    Markup
        A sentence or two.
    """
    return speech.say(
        "{probability} likely to fail within {days} days if nobody goes; "
        "a planned visit costs {planned}, a failure {failure}.",
        probability=speech.chance(proposal.failure_probability),
        days=proposal.horizon_days,
        planned=speech.money(proposal.planned_cost.amount, proposal.planned_cost.currency),
        failure=speech.money(proposal.failure_cost.amount, proposal.failure_cost.currency),
    )


def visit_day(speech: Speech, proposal: ProposalReading) -> Markup:
    """Say by when to go.

    Parameters
    ----------
    speech : Speech
        The language.
    proposal : ProposalReading
        The proposal.

    Returns
    -------
    Markup
        A day; a day that has passed is no plan, so that is "at once".
    """
    if proposal.days_to_visit == 0:
        return speech.say("at once")
    return escape(speech.day(proposal.visit_by))


def feature_words(speech: Speech, spec: FeatureSpec, value: float) -> Markup:
    """Say a feature of the churn model.

    Parameters
    ----------
    speech : Speech
        The language.
    spec : FeatureSpec
        The feature.
    value : float
        Its value.

    Returns
    -------
    Markup
        A sentence without a full stop.
    """
    words = spec.words(value, speech.language).replace(" -", " \N{MINUS SIGN}")
    return escape(words[:1].upper() + words[1:])


def driver_words(speech: Speech, driver: Driver) -> Markup:
    """Say one reason behind a risk.

    Parameters
    ----------
    speech : Speech
        The language.
    driver : Driver
        The reason.

    Returns
    -------
    Markup
        A sentence without a full stop.
    """
    if driver.machine_key is None:
        spec = _SPECS.get(driver.feature)
        return escape(driver.words) if spec is None else feature_words(speech, spec, driver.value)
    hours = speech.number(driver.value, 1)
    probability = driver.parameters.get("failure_probability")
    if driver.feature != EXPECTED:
        return speech.say(
            "{machine} stood still for {hours} h in the last 90 days",
            machine=driver.machine_key,
            hours=hours,
        )
    if isinstance(probability, float) and math.isfinite(probability):
        return speech.say(
            "{machine} is {probability} likely to fail within 30 days: "
            "{hours} h of standstill expected",
            machine=driver.machine_key,
            probability=speech.chance(probability),
            hours=hours,
        )
    return speech.say(
        "{hours} h of standstill of {machine} expected within 30 days",
        machine=driver.machine_key,
        hours=hours,
    )
