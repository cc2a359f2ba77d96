"""Fits the monthly hazard of leaving: expert beliefs first, data as they come.

A row is one customer in one month: its features at the month's start, and whether it left in
the month. Customers still with us are rows without a churn, so nothing is censored away. The
hazard is logistic in the features. Knows no customers, dates or money; `analytics.retention.churn`
turns the fitted hazard into risks.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

import numpy as np
import scipy.linalg
import scipy.optimize
import scipy.special

from analytics.arrays import AnalyticsError, BoolArray, DomainError, FloatArray, ShapeError
from analytics.retention.churn_features import CHURN_FEATURES, FeatureSpec

# A customer without any trouble leaves in a year with probability 11 %. Over service contracts
# as a whole about 18 % a year are not renewed (ServiceXRG reports 82.4 % renewed); the
# difference is what the features are there to explain.
BASE_MONTHLY_HAZARD: Final = 0.010
# One standard deviation makes the base rate 2 times higher or lower: companies differ that much.
BASE_LOG_ODDS_SD: Final = 0.7

# In log-likelihood units and squared standard errors alike; the step that meets it is still
# taken, and squares the error once more.
_NEWTON_TOLERANCE: Final = 1e-12
_MAX_NEWTON_STEPS: Final = 100


class FitError(AnalyticsError):
    """The fit did not settle."""


@dataclass(frozen=True, slots=True)
class ChurnPrior:
    """What is believed before the first row.

    Parameters
    ----------
    features : tuple of FeatureSpec
        Their expert weights, uncertainties and signs.
    intercept : float
        Log-odds of leaving in a month with every feature at its reference.
    intercept_sd : float
        Its standard deviation.

    Raises
    ------
    DomainError
        If features that share a weight disagree about it, a weight breaks its own sign, or an
        uncertainty is not above 0.
    """

    features: tuple[FeatureSpec, ...]
    intercept: float
    intercept_sd: float

    def __post_init__(self) -> None:
        if not self.intercept_sd > 0:
            msg = f"ChurnPrior: intercept_sd is {self.intercept_sd}; it must be above 0"
            raise DomainError(msg)
        beliefs: dict[str, tuple[float, float, int]] = {}
        for spec in self.features:
            belief = (spec.expert_weight, spec.expert_sd, spec.sign)
            if beliefs.setdefault(spec.weight_name, belief) != belief:
                msg = (
                    f"feature {spec.name}: shares weight {spec.weight_name} but states "
                    f"(weight, sd, sign) {belief} instead of {beliefs[spec.weight_name]}"
                )
                raise DomainError(msg)
            if not spec.expert_sd > 0 or spec.expert_weight * spec.sign < 0:
                msg = (
                    f"feature {spec.name}: expert_weight {spec.expert_weight} with expert_sd "
                    f"{spec.expert_sd} and sign {spec.sign}; the sd must be above 0 and the "
                    "weight on the side of its sign"
                )
                raise DomainError(msg)

    @property
    def weight_names(self) -> tuple[str, ...]:
        """Coefficients after the intercept, in order of first use.

        Returns
        -------
        tuple of str
            Each name once.
        """
        return tuple(dict.fromkeys(spec.weight_name for spec in self.features))

    @property
    def ties(self) -> FloatArray:
        """Which feature speaks through which weight.

        Returns
        -------
        ndarray of shape (n_features, n_weights)
            1 where it does, 0 elsewhere.
        """
        names = self.weight_names
        ties = np.zeros((len(self.features), len(names)))
        for row, spec in enumerate(self.features):
            ties[row, names.index(spec.weight_name)] = 1.0
        return ties

    def coefficients(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Mean, sd and bounds of the intercept and the weights.

        Returns
        -------
        tuple of four ndarrays of shape (1 + n_weights,)
            Mean, standard deviation, lower bound, upper bound.
        """
        by_name = {spec.weight_name: spec for spec in self.features}
        specs = [by_name[name] for name in self.weight_names]
        mean = np.array([self.intercept, *(spec.expert_weight for spec in specs)])
        sd = np.array([self.intercept_sd, *(spec.expert_sd for spec in specs)])
        lower = np.array([-np.inf, *(0.0 if spec.sign > 0 else -np.inf for spec in specs)])
        upper = np.array([np.inf, *(0.0 if spec.sign < 0 else np.inf for spec in specs)])
        return mean, sd, lower, upper


def expert_prior(
    features: Sequence[FeatureSpec] = CHURN_FEATURES,
    *,
    base_monthly_hazard: float = BASE_MONTHLY_HAZARD,
    intercept_sd: float = BASE_LOG_ODDS_SD,
) -> ChurnPrior:
    """State the experts' beliefs as a prior.

    Parameters
    ----------
    features : sequence of FeatureSpec
        What the model looks at.
    base_monthly_hazard : float
        Probability that a customer for whom nothing is wrong leaves within a month.
    intercept_sd : float
        How uncertain its log-odds are.

    Returns
    -------
    ChurnPrior
        For `fit_churn_model`.

    Raises
    ------
    DomainError
        If `base_monthly_hazard` is not strictly between 0 and 1.

    Examples
    --------
    >>> round(expert_prior().intercept, 3)
    -4.595
    """
    if not 0.0 < base_monthly_hazard < 1.0:
        msg = (
            f"expert_prior: base_monthly_hazard is {base_monthly_hazard}; "
            "give a probability between 0 and 1, for example 0.01"
        )
        raise DomainError(msg)
    intercept = float(scipy.special.logit(base_monthly_hazard))
    return ChurnPrior(tuple(features), intercept, intercept_sd)


@dataclass(frozen=True, slots=True, eq=False)
class ChurnModel:
    """A fitted monthly hazard of leaving.

    Parameters
    ----------
    prior : ChurnPrior
        Where the fit began.
    coefficient : ndarray of shape (1 + n_weights,)
        Intercept, then weights in the order of ``prior.weight_names``.
    covariance : ndarray of shape (1 + n_weights, 1 + n_weights)
        Laplace approximation of their posterior covariance.
    n_rows, n_churned : int
        Customer-months learnt from, and those in which the customer left.
    """

    prior: ChurnPrior
    coefficient: FloatArray
    covariance: FloatArray
    n_rows: int
    n_churned: int

    @property
    def features(self) -> tuple[FeatureSpec, ...]:
        """What the model looks at.

        Returns
        -------
        tuple of FeatureSpec
            One for each column of its feature matrix.
        """
        return self.prior.features

    @property
    def intercept(self) -> float:
        """Log-odds of leaving in a month at the reference.

        Returns
        -------
        float
            Log-odds.
        """
        return float(self.coefficient[0])

    @property
    def weight(self) -> FloatArray:
        """Log-odds per unit of each feature; features that share a weight repeat it.

        Returns
        -------
        ndarray of shape (n_features,)
            Log-odds per unit. [1/unit]
        """
        names = self.prior.weight_names
        places = [1 + names.index(spec.weight_name) for spec in self.features]
        return self.coefficient[places]

    @property
    def version(self) -> str:
        """Name of this model: the same for the same numbers, different for any other.

        Returns
        -------
        str
            16 hexadecimal digits.
        """
        text = json.dumps(self.to_document(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_document(self) -> dict[str, Any]:
        """Everything, as JSON can hold it, to the last bit.

        Returns
        -------
        dict
            For `from_document`.
        """
        return {
            "features": [asdict(spec) for spec in self.features],
            "prior_intercept": self.prior.intercept,
            "prior_intercept_sd": self.prior.intercept_sd,
            "coefficient": self.coefficient.tolist(),
            "covariance": self.covariance.tolist(),
            "n_rows": self.n_rows,
            "n_churned": self.n_churned,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Rebuild a model that `to_document` wrote.

        Parameters
        ----------
        document : mapping
            As written.

        Returns
        -------
        ChurnModel
            With bit-identical answers.
        """
        features = tuple(FeatureSpec(**spec) for spec in document["features"])
        return cls(
            prior=ChurnPrior(features, document["prior_intercept"], document["prior_intercept_sd"]),
            coefficient=np.array(document["coefficient"], dtype=np.float64),
            covariance=np.array(document["covariance"], dtype=np.float64),
            n_rows=document["n_rows"],
            n_churned=document["n_churned"],
        )


def centred(features: Sequence[FeatureSpec], X: FloatArray) -> FloatArray:
    """Distance of each feature from its reference, held within its limits.

    Parameters
    ----------
    features : sequence of FeatureSpec
        One for each column.
    X : ndarray of shape (n_rows, n_features)
        Values; ``nan`` where not known, which counts as the reference. [unit of the feature]

    Returns
    -------
    ndarray of shape (n_rows, n_features)
        0 at the reference. [unit of the feature]

    Raises
    ------
    ShapeError
        If `X` does not have one column per feature.
    DomainError
        If a value is infinite and its feature has no limit on that side.
    """
    if X.ndim != 2 or X.shape[1] != len(features):
        msg = f"features have shape {X.shape}; pass one column for each of {len(features)}"
        raise ShapeError(msg)
    lowest = np.array([spec.lowest for spec in features])
    highest = np.array([spec.highest for spec in features])
    reference = np.array([spec.reference for spec in features])
    held = np.clip(X, lowest, highest) - reference
    if np.isinf(held).any():
        row, column = np.argwhere(np.isinf(held))[0]
        msg = f"row {row}, feature {features[column].name}: infinite; give nan if not known"
        raise DomainError(msg)
    return np.where(np.isnan(held), 0.0, held)


def fit_churn_model(X: FloatArray, churned: BoolArray, prior: ChurnPrior) -> ChurnModel:
    """Find the most probable monthly hazard given beliefs and rows.

    Maximum a posteriori logistic regression: Gaussian priors around the expert weights, each
    weight held on the side of its sign, the interval from Laplace's approximation [1]_. Without
    rows the answer is the prior itself; with many it is the data's. A discrete-time hazard
    needs no more than this [2]_. Rows in another order give the same answer to rounding; pass
    them in a fixed order where bits matter.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
        Features at the start of each customer-month; ``nan`` where not known, which counts as
        the reference. `n_rows` may be 0. [unit of the feature]
    churned : ndarray of bool, shape (n_rows,)
        True where the customer left in the month.
    prior : ChurnPrior
        Beliefs; `expert_prior` gives the usual ones.

    Returns
    -------
    ChurnModel
        Coefficients and their covariance. The covariance ignores the sign bounds, which makes
        intervals a little wide where a weight sits at its bound.

    Raises
    ------
    ShapeError
        If `X` and `churned` disagree in rows, or `X` and `prior` in features.
    FitError
        If Newton's method has not settled after 100 steps.

    References
    ----------
    .. [1] D. J. C. MacKay, "Information Theory, Inference, and Learning Algorithms",
       Cambridge University Press, 2003, chapters 27 and 41.
    .. [2] P. D. Allison, "Discrete-time methods for the analysis of event histories",
       Sociological Methodology, vol. 13, pp. 61-98, 1982.

    Examples
    --------
    >>> model = fit_churn_model(np.zeros((0, 8)), np.zeros(0, dtype=bool), expert_prior())
    >>> model.weight.tolist()
    [0.03, 0.03, 1.5, 0.4, 0.02, -2.0, 0.4, 0.5]
    """
    if churned.shape != (X.shape[0],):
        msg = (
            f"fit_churn_model: {X.shape[0]} rows of features but churned has shape {churned.shape}"
        )
        raise ShapeError(msg)
    Z = np.column_stack([np.ones(X.shape[0]), centred(prior.features, X) @ prior.ties])
    y = churned.astype(np.float64)
    mean, sd, lower, upper = prior.coefficients()

    def loss(beta: FloatArray) -> float:
        eta = Z @ beta
        misfit = np.logaddexp(0.0, eta).sum() - y @ eta
        return float(misfit + 0.5 * (((beta - mean) / sd) ** 2).sum())

    beta = mean
    for _ in range(_MAX_NEWTON_STEPS):
        hazard = scipy.special.expit(Z @ beta)
        gradient = Z.T @ (hazard - y) + (beta - mean) / sd**2
        curvature = (Z * (hazard * (1.0 - hazard))[:, None]).T @ Z + np.diag(sd**-2.0)
        step = _bounded_newton_step(gradient, curvature, lower - beta, upper - beta)
        slope = float(gradient @ step)
        beta, is_settled = _walk(loss, beta, step, slope, lower, upper), -slope < _NEWTON_TOLERANCE
        if is_settled:
            break
    else:
        msg = (
            f"fit_churn_model: not settled after {_MAX_NEWTON_STEPS} Newton steps on {X.shape[0]} "
            "rows; look for a feature in a wrong unit (values many times its scale)"
        )
        raise FitError(msg)
    hazard = scipy.special.expit(Z @ beta)
    curvature = (Z * (hazard * (1.0 - hazard))[:, None]).T @ Z + np.diag(sd**-2.0)
    covariance = scipy.linalg.inv(curvature)
    return ChurnModel(
        prior=prior,
        coefficient=beta,
        covariance=(covariance + covariance.T) / 2.0,
        n_rows=X.shape[0],
        n_churned=int(churned.sum()),
    )


def _bounded_newton_step(
    gradient: FloatArray, curvature: FloatArray, lower: FloatArray, upper: FloatArray
) -> FloatArray:
    """Exact minimum of the local parabola within the bounds, as bounded least squares."""
    root = scipy.linalg.cholesky(curvature, lower=True)
    # Measured in standard errors, so that a weight per hour and one per ratio are alike.
    unit = np.diag(curvature) ** -0.5
    target = scipy.linalg.solve_triangular(root, -gradient, lower=True)
    found = scipy.optimize.lsq_linear(
        root.T * unit, target, bounds=(lower / unit, upper / unit), method="bvls", tol=1e-15
    )
    step: FloatArray = found.x * unit
    return step


def _walk(
    loss: Callable[[FloatArray], float],
    beta: FloatArray,
    step: FloatArray,
    slope: float,
    lower: FloatArray,
    upper: FloatArray,
) -> FloatArray:
    """Go along the step as far as the loss falls with it (Armijo's rule)."""
    start = loss(beta)
    for share in 0.5 ** np.arange(40):
        reached: FloatArray = np.clip(beta + share * step, lower, upper)
        # Close to the minimum the fall is lost in rounding; the full step is right there.
        if loss(reached) <= start + 1e-4 * share * slope + 1e-12 * abs(start) * (share == 1.0):
            return reached
    return beta
