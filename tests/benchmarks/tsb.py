"""Eight series in the form of TSB-AD, by VUS-PR, against 32 published detectors.

One setting for all series. Offline, a score may look at the whole series, as the published
unsupervised detectors do; causal, only at the ordinary part and at what came before. No label is
used; the buffer of the volume is the period of the series, as published.
"""

from pathlib import Path
from typing import Any

import numpy as np

from analytics.scoring.ranking import auc_pr, volumes_under_surface
from analytics.signals.shape_score import shape_score
from analytics.signals.subsequences import period_of
from tests.benchmarks.common import report
from tests.benchmarks.detection_data import read_tsb


def run(data: Path) -> dict[str, Any]:
    """Score every series twice."""
    series, n_train, published = read_tsb(data / "tsb_nab_subset")
    means = {name: float(np.mean(scores)) for name, scores in published.items()}
    best = max(means, key=lambda name: means[name])
    rows = []
    for one, train in zip(series, n_train, strict=True):
        x = one.values[:, 0]
        buffer = period_of(x)
        both = [shape_score(x, train, is_causal=causal) for causal in (False, True)]
        volumes = [volumes_under_surface(one.is_anomaly, s, buffer).vus_pr for s in both]
        rows.append([*volumes, auc_pr(one.is_anomaly, both[0])])
        print(f"  {one.name:45} offline {volumes[0]:.3f}  causal {volumes[1]:.3f}")
    offline, causal, area = np.mean(rows, axis=0)
    figures = {
        "vus_pr_offline": round(float(offline), 4),
        "vus_pr_causal": round(float(causal), 4),
        "auc_pr_offline": round(float(area), 4),
    }
    against = {
        "best_published_vus_pr": round(means[best], 4),
        "sub_pca_vus_pr": round(means["Sub-PCA"], 4),
        "matrix_profile_vus_pr": round(means["MatrixProfile"], 4),
        "isolation_forest_vus_pr": round(means["IForest"], 4),
    }
    n_below = sum(mean < float(offline) for mean in means.values())
    print(f"  mean offline {offline:.3f}, causal {causal:.3f}; published {best} {means[best]:.3f}")
    print(f"  offline above {n_below} of {len(means)} published detectors")
    figures["n_published_below"] = n_below
    return report(
        "tsb",
        figures,
        against=against,
        targets=[
            ("vus_pr_offline", ">=", round(means[best], 4)),
            ("vus_pr_causal", ">=", 0.30),
        ],
    )
