"""How damaged each machine looks, at every step."""

import numpy as np
import numpy.typing as npt

from analytics.arrays import FloatArray, ShapeError
from analytics.health.model import HealthModel


def health_indicator(model: HealthModel, values: npt.NDArray[np.floating]) -> FloatArray:
    """Damage of every machine at every step: about 0 as new, about 1 at failure.

    A missing sample leaves its signal's averages where they are. Damage is ``nan`` until every
    signal that the model uses has been seen once, and at steps in which a machine sent none of
    them. After a repair, blank out the samples from before it.

    Parameters
    ----------
    model : HealthModel
        Of this kind of machine.
    values : ndarray of shape (n_times, n_signals, n_machines)
        Samples on a grid of ``model.step_h``, signals in the order of ``model.signals``, each in
        its unit; ``nan`` or infinite where missing.

    Returns
    -------
    ndarray of shape (n_times, n_machines)
        Damage; may lie a little outside 0 to 1.

    Raises
    ------
    ShapeError
        If `values` has not one column per signal of the model.
    """
    if values.ndim != 3 or values.shape[1] != len(model.signals):
        msg = (
            f"health_indicator: values has shape {values.shape} but model {model.kind} takes the "
            f"{len(model.signals)} signals {model.signals}; give (n_times, n_signals, n_machines)"
        )
        raise ShapeError(msg)
    return model.fusion.damage(model.fusion.features(values))


def health_pct(damage: FloatArray) -> FloatArray:
    """Health for people: 100 as new, 0 at failure.

    Parameters
    ----------
    damage : ndarray of any shape
        From `health_indicator`.

    Returns
    -------
    ndarray of the same shape
        ``nan`` where damage is. [%]

    Examples
    --------
    >>> health_pct(np.array([-0.1, 0.25, 1.2, np.nan]))
    array([100.,  75.,   0.,  nan])
    """
    return 100.0 * (1.0 - np.clip(damage, 0.0, 1.0))
