"""What the churn model looks at, and what an expert believes before any customer has left.

Each feature is one number per customer at one moment. Its weight is a change of the log-odds
of leaving in a month, per unit of the feature; the reason for its size stands beside it. The
weights are where the model starts and where it stays until data say otherwise; they are
judgements, not measurements, and each is uncertain by about half of itself.
"""

import math
from dataclasses import dataclass
from typing import Final, Literal, assert_never

Language = Literal["en", "zh"]


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """One feature of the churn model.

    Parameters
    ----------
    name : str
        Name, ending in its unit and window.
    unit : str
        Unit of a value, for people.
    expert_weight : float
        Log-odds of leaving in a month added by one unit. [1/unit]
    expert_sd : float
        How uncertain that is: standard deviation of the Gaussian prior. [1/unit]
    sign : {-1, 0, 1}
        1 where more can't lower the risk, -1 where more can't raise it, 0 where unsure.
    scale : float
        A step of the feature that people would notice. [unit]
    reference : float
        Value at a customer for whom nothing is wrong; contributions count from here. [unit]
    lowest, highest : float
        Values beyond these count as these, so one wild number can't rule the model. [unit]
    weight_name : str
        Features of one weight name share one coefficient.
    words_en, words_zh : str
        The feature in a sentence; ``{value}`` is filled in.
    definition_en : str
        How the value is computed.
    """

    name: str
    unit: str
    expert_weight: float
    expert_sd: float
    sign: Literal[-1, 0, 1]
    scale: float
    reference: float
    lowest: float
    highest: float
    weight_name: str
    words_en: str
    words_zh: str
    definition_en: str

    def words(self, value: float, language: Language = "en") -> str:
        """Say the feature as a person would.

        Parameters
        ----------
        value : float
            Value of the feature; ``nan`` where not known. [unit]
        language : {"en", "zh"}
            English or simplified Chinese.

        Returns
        -------
        str
            A phrase with the number and its unit.

        Examples
        --------
        >>> CHURN_FEATURES[0].words(12.25)
        '12.2 h standstill per machine in the last 90 days'
        """
        match language:
            case "en":
                template, unknown = self.words_en, "not known"
            case "zh":
                template, unknown = self.words_zh, "未知"
            case _:
                assert_never(language)
        if math.isnan(value):
            return f"{self.name}: {unknown}"
        # 0.0 + turns a negative zero into zero, which would otherwise be shown as -0.
        return template.format(value=0.0 + value)


# One day of standstill per machine in a quarter is about 1 % of the time: a plant manager
# notices, and we take it to double the odds of leaving in a month. ln 2 / 24 h = 0.029.
DOWNTIME_WEIGHT_PER_H: Final = 0.03
DOWNTIME_WEIGHT_SD_PER_H: Final = 0.015

CHURN_FEATURES: Final[tuple[FeatureSpec, ...]] = (
    FeatureSpec(
        name="downtime_h_per_machine_90d",
        unit="h",
        expert_weight=DOWNTIME_WEIGHT_PER_H,
        expert_sd=DOWNTIME_WEIGHT_SD_PER_H,
        sign=1,
        scale=8.0,
        reference=0.0,
        lowest=0.0,
        highest=240.0,  # ten days: past this a customer is as annoyed as they get
        weight_name="downtime_per_h",
        words_en="{value:.1f} h standstill per machine in the last 90 days",
        words_zh="近 90 天平均每台机器停机 {value:.1f} 小时",
        definition_en=(
            "Hours of unplanned standstill in the last 90 days, overlaps counted once, "
            "divided by the number of machines under contract."
        ),
    ),
    FeatureSpec(
        name="expected_downtime_h_per_machine_30d",
        unit="h",
        expert_weight=DOWNTIME_WEIGHT_PER_H,
        expert_sd=DOWNTIME_WEIGHT_SD_PER_H,
        sign=1,
        scale=8.0,
        reference=0.0,
        lowest=0.0,
        highest=240.0,
        # The forecast speaks through what history taught: an expected hour weighs as a past one.
        weight_name="downtime_per_h",
        words_en="{value:.1f} h standstill per machine expected in the next 30 days",
        words_zh="预计未来 30 天平均每台机器停机 {value:.1f} 小时",
        definition_en=(
            "Sum over machines of P(failure within 30 days) x hours of an unplanned repair, "
            "divided by the number of machines under contract."
        ),
    ),
    FeatureSpec(
        name="repeat_visit_ratio_180d",
        unit="ratio",
        # Every job needing a second visit against none: the odds rise 4.5 times. The ratio of
        # most customers moves between 0.1 and 0.5, which is a factor of 1.8.
        expert_weight=1.5,
        expert_sd=0.75,
        sign=1,
        scale=0.2,
        reference=0.15,  # 85 % first-time fix, a good service organisation
        lowest=0.0,
        highest=1.0,
        weight_name="repeat_visit_ratio_180d",
        words_en="{value:.0%} of repair visits in the last 180 days did not fix it the first time",
        words_zh="近 180 天有 {value:.0%} 的维修上门未能一次修好",
        definition_en=(
            "Corrective visits of the last 180 days that did not resolve the fault or were "
            "followed by another for it within 30 days, as a share of all; few visits are drawn "
            "towards 15 % (`shrunk_ratio` with 4 prior visits)."
        ),
    ),
    FeatureSpec(
        name="response_over_target_ratio_90d",
        unit="ratio",
        # Taking twice as long as promised raises the odds 1.5 times; ln 1.5 = 0.41.
        expert_weight=0.4,
        expert_sd=0.2,
        sign=1,
        scale=0.5,
        reference=1.0,
        lowest=0.0,
        highest=5.0,
        weight_name="response_over_target_ratio_90d",
        words_en="response took {value:.1f} times the promised time in the last 90 days",
        words_zh="近 90 天响应时间为承诺时间的 {value:.1f} 倍",
        definition_en=(
            "Mean over work orders opened in the last 90 days of hours from opening to arrival, "
            "divided by the contract's response target; open ones count their age so far."
        ),
    ),
    FeatureSpec(
        name="late_payment_days_180d",
        unit="days",
        # A month late is a customer in dispute or in trouble: odds 1.8 times.
        expert_weight=0.02,
        expert_sd=0.01,
        sign=1,
        scale=10.0,
        reference=0.0,
        lowest=0.0,
        highest=120.0,
        weight_name="late_payment_days_180d",
        words_en="payments {value:.0f} days late on average in the last 180 days",
        words_zh="近 180 天付款平均逾期 {value:.0f} 天",
        definition_en=(
            "Mean days after the due date over invoices due in the last 180 days; early counts "
            "as 0, unpaid ones count their age so far."
        ),
    ),
    FeatureSpec(
        name="usage_change_ratio_90d",
        unit="ratio",
        # Using the machines half as much: odds 2.7 times, the strongest of leading indicators.
        expert_weight=-2.0,
        expert_sd=1.0,
        sign=-1,
        scale=0.2,
        reference=0.0,
        lowest=-1.0,
        highest=0.5,  # growth beyond half is a new line, not more loyalty
        weight_name="usage_change_ratio_90d",
        words_en="machine use changed by {value:+.0%} against the 90 days before",
        words_zh="机器使用量较之前 90 天变化 {value:+.0%}",
        definition_en=(
            "Run hours of machines under contract throughout, last 90 days against the 90 days "
            "before, minus 1; machines added or removed are left out."
        ),
    ),
    FeatureSpec(
        name="complaints_90d_count",
        unit="count",
        # One in many complains at all, so each that does stands for more: odds 1.5 times.
        expert_weight=0.4,
        expert_sd=0.2,
        sign=1,
        scale=1.0,
        reference=0.0,
        lowest=0.0,
        highest=8.0,
        weight_name="complaints_90d_count",
        words_en="complaints in the last 90 days: {value:.0f}",
        words_zh="近 90 天投诉 {value:.0f} 次",
        definition_en="Tickets of kind complaint opened in the last 90 days.",
    ),
    FeatureSpec(
        name="tickets_silence_flag_ratio",
        unit="ratio",
        # A customer who used to ask and has stopped has often stopped caring; weaker evidence
        # than a complaint, since a quarter without questions also happens to the content.
        expert_weight=0.5,
        expert_sd=0.3,
        sign=1,
        scale=0.5,
        reference=0.0,
        lowest=0.0,
        highest=1.0,
        weight_name="tickets_silence_flag_ratio",
        words_en="contact has fallen silent: {value:.0%} fewer tickets than this customer's usual",
        words_zh="客户趋于沉默：工单比其平常减少 {value:.0%}",
        definition_en=(
            "1 - tickets of the last 90 days / the customer's usual number in 90 days over the "
            "year before, held between 0 and 1; 0 for customers who usually open fewer than 2."
        ),
    ),
)
