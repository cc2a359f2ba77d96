"""Choices of a health model that are not learned from data."""

from dataclasses import dataclass

from analytics.arrays import DomainError


@dataclass(frozen=True, slots=True)
class HealthSettings:
    """How a health model is fitted.

    Lengths are ratios of the median life, so that nothing changes when time is counted in other
    units. Where several candidates are given, unit-wise cross-validation picks one.

    Parameters
    ----------
    regime_signals : tuple of str
        Signals that say what the machine is asked to do (speed, load, altitude), not how it is.
        The others are compared with what is usual in the same regime.
    healthy_ratio : float
        First part of each life that counts as healthy.
    memory_ratios : tuple of float
        Memories of the moving averages of each signal: what it is now, and what it was.
    trajectory_ratios : tuple of float
        Memories of the moving averages of damage by which machines are likened to each other.
    label_ratios : tuple of float
        Candidates: damage is taken to grow in a straight line over the last part, this long, of
        each life.
    bandwidths : tuple of float
        Candidates: difference in damage at which two machines are somewhat alike.
    start_ratios : tuple of float
        Parts of life at which a history may begin. Machines are often first seen in mid-life,
        when the slow memories know little; the library holds such histories too. The first must
        be 0.
    late_start_weight : float
        Weight of a sample from a history that begins late against one from new, in the fusion.
    history_spread : float
        Histories match when the logarithms of their lengths, in slow memories, are within this.
    ridge : float
        Penalty of the fusion's weights, against 1 for the information of all samples.
    min_samples : int
        A machine with fewer samples than this gets no estimate.
    interval_ratio : float
        Part of the cases that the calibrated interval must hold.
    n_folds : int
        Groups of units for cross-validation.
    max_positions : int
        Size to which a library is thinned out.

    Raises
    ------
    DomainError
        If a setting is out of its range.
    """

    regime_signals: tuple[str, ...] = ()
    healthy_ratio: float = 0.25
    memory_ratios: tuple[float, ...] = (0.015, 0.15)
    trajectory_ratios: tuple[float, ...] = (0.025, 0.1, 0.25)
    label_ratios: tuple[float, ...] = (0.2, 0.3, 0.45, 0.65)
    bandwidths: tuple[float, ...] = (0.0035, 0.005, 0.007, 0.01, 0.014, 0.02, 0.03, 0.045)
    start_ratios: tuple[float, ...] = (0.0, 0.3, 0.6)
    late_start_weight: float = 0.25
    history_spread: float = 0.3
    ridge: float = 1e-3
    min_samples: int = 24
    interval_ratio: float = 0.8
    n_folds: int = 5
    max_positions: int = 8192

    def __post_init__(self) -> None:
        ratios = (
            *self.memory_ratios,
            *self.trajectory_ratios,
            *self.label_ratios,
            *self.bandwidths,
            self.healthy_ratio,
            self.history_spread,
            self.ridge,
        )
        checks = {
            "ratios, bandwidths and penalties must be above 0": min(ratios) > 0,
            "each list of candidates or memories needs at least one": all((
                self.memory_ratios,
                self.trajectory_ratios,
                self.label_ratios,
                self.bandwidths,
            )),
            "start_ratios must begin with 0 and stay below 1": (
                self.start_ratios[:1] == (0.0,)
                and all(0 <= start < 1 for start in self.start_ratios)
            ),
            "healthy_ratio must be below 1": self.healthy_ratio < 1,
            "interval_ratio must be between 0 and 1": 0 < self.interval_ratio < 1,
            "late_start_weight must not be below 0": self.late_start_weight >= 0,
            "min_samples, n_folds and max_positions must be at least 2": (
                min(self.min_samples, self.n_folds, self.max_positions) >= 2
            ),
        }
        for problem, is_fine in checks.items():
            if not is_fine:
                msg = f"HealthSettings: {problem}; got {self}"
                raise DomainError(msg)


DEFAULT_SETTINGS = HealthSettings()
