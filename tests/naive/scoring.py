"""Slow twins of `analytics.scoring`."""

import itertools
import math


def rmse(truth: list[float], estimate: list[float], cap: float = math.inf) -> float:
    squares = [(min(e, cap) - min(t, cap)) ** 2 for t, e in zip(truth, estimate, strict=True)]
    return math.sqrt(sum(squares) / len(squares))


def phm08(truth: list[float], estimate: list[float], cap: float = math.inf) -> float:
    total = 0.0
    for t, e in zip(truth, estimate, strict=True):
        late = min(e, cap) - min(t, cap)
        total += math.exp(late / 10) - 1 if late >= 0 else math.exp(-late / 13) - 1
    return total


def coverage(truth: list[float], lower: list[float], upper: list[float]) -> float:
    held = [low <= t <= high for t, low, high in zip(truth, lower, upper, strict=True)]
    return sum(held) / len(held)


def auc_roc(truth: list[bool], score: list[float]) -> float:
    pairs = [
        1.0 if a > b else 0.5 if a == b else 0.0
        for a, is_a in zip(score, truth, strict=True)
        if is_a
        for b, is_b in zip(score, truth, strict=True)
        if not is_b
    ]
    return sum(pairs) / len(pairs)


def auc_pr(truth: list[bool], score: list[float]) -> float:
    area, recall_before = 0.0, 0.0
    for threshold in sorted(set(score), reverse=True):
        flagged = [t for t, s in zip(truth, score, strict=True) if s >= threshold]
        recall = sum(flagged) / sum(truth)
        area += (recall - recall_before) * sum(flagged) / len(flagged)
        recall_before = recall
    return area


def _segments(truth: list[bool]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for place, is_true in enumerate(truth):
        if is_true and place and truth[place - 1]:
            found[-1] = (found[-1][0], place)
        elif is_true:
            found.append((place, place))
    return found


def _extended(truth: list[bool], width: int) -> list[float]:
    label = [float(t) for t in truth]
    for first, last in _segments(truth):
        for place in range(last + 1, min(last + width // 2 + 1, len(truth))):
            label[place] += math.sqrt(1 - (place - last) / width)
        for place in range(max(first - width // 2, 0), first):
            label[place] += math.sqrt(1 - (first - place) / width)
    return [min(1.0, value) for value in label]


def volumes(truth: list[bool], score: list[float], buffer: int, n_thresholds: int) -> list[float]:
    """ROC and precision-recall volumes as the publication describes them, sample by sample."""
    n = len(score)
    ordered = sorted(score, reverse=True)
    ranks = [int(k * (n - 1) / (n_thresholds - 1)) for k in range(n_thresholds)]
    roc, pr = [], []
    for width in range(buffer + 1):
        extended = _extended(truth, width)
        blobs: list[tuple[int, int]] = []
        for first, last in _segments(truth):
            begin, end = max(first - width // 2, 0), min(last + width // 2, n - 1)
            if blobs and blobs[-1][1] >= begin:
                blobs[-1] = (blobs[-1][0], end)
            else:
                blobs.append((begin, end))
        points = [(0.0, 0.0)]
        precisions = []
        for rank in ranks:
            flagged = [s >= ordered[rank] for s in score]
            soft = [1.0 if t else e * f for t, e, f in zip(truth, extended, flagged, strict=True)]
            hits = sum(v * f for v, f in zip(soft, flagged, strict=True))
            positive = (sum(truth) + sum(soft)) / 2
            exists = sum(any(flagged[a : b + 1]) for a, b in blobs) / len(blobs)
            recall = min(hits / positive, 1.0) * exists
            points.append((recall, (sum(flagged) - hits) / (n - positive)))
            precisions.append(hits / sum(flagged))
        pr.append(
            sum(
                (points[k + 1][0] - points[k][0]) * precision
                for k, precision in enumerate(precisions)
            )
        )
        points.append((1.0, 1.0))
        roc.append(sum((b[1] - a[1]) * (a[0] + b[0]) / 2 for a, b in itertools.pairwise(points)))
    return [sum(roc) / len(roc), sum(pr) / len(pr)]


def nab_raw(
    alarm: list[bool], windows: list[tuple[int, int]], hit: float, false: float, missed: float
) -> float:
    """NAB's score of one series, row by row as its paper tells it."""

    def sigmoid(y: float) -> float:
        return 2 / (1 + math.exp(5 * y)) - 1

    probation = min(math.floor(0.15 * len(alarm)), 0.15 * 5000)
    best = {w: -missed for w in range(len(windows)) if windows[w][1] >= probation}
    total = 0.0
    for row, is_alarm in enumerate(alarm):
        if not is_alarm or row < probation:
            continue
        inside = [w for w, (a, b) in enumerate(windows) if a <= row <= b]
        if inside:
            first, last = windows[inside[0]]
            gain = sigmoid(-(last - row + 1) / (last - first + 1)) * hit / sigmoid(-1)
            best[inside[0]] = max(best[inside[0]], gain)
            continue
        before = [(a, b) for a, b in windows if b < row]
        if not before:
            total -= false
            continue
        first, last = before[-1]
        past = (row - last) / max(last - first, 1)
        total += false * (-1.0 if past >= 3 else sigmoid(past))
    return total + sum(best.values())


def events(
    truth: list[bool], alarm: list[bool], tolerance: int, merge: int
) -> tuple[int, int, list[int]]:
    """Found and false, and delays in samples, one sample an hour."""
    alarms: list[tuple[int, int]] = []
    for first, last in _segments(alarm):
        if alarms and first - alarms[-1][1] < merge:
            alarms[-1] = (alarms[-1][0], last)
        else:
            alarms.append((first, last))
    delays, guilty = [], set()
    for first, last in _segments(truth):
        touching = [a for a in alarms if a[1] >= first and a[0] <= last + tolerance]
        guilty |= set(touching)
        if touching:
            delays.append(max(0, touching[0][0] - first))
    return len(delays), len(alarms) - len(guilty), delays
