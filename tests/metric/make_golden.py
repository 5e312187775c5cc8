"""Writes tests/data/metric/golden.txt: examples and what scikit-learn makes of them.

    python3 -m venv venv && venv/bin/pip install scikit-learn && venv/bin/python make_golden.py

Logits lie on the centres of the AUC's bins (multiples of 1/128 plus 1/256), so that ties within a
bin are ties of the exact figures too, and sklearn's answers are ours to the rounding of doubles.

The file: "case NAME N", N lines "LOGIT REFERENCE LABEL WEIGHT", then a line "FIGURE X" each.
normalised_entropy is the loss over the loss of the weighted base rate, calibration the ratio of
the weighted means, paired_loss the loss less that of the reference's logits. X is null where a
figure is not defined of a single class; scikit-learn warns there and gives NaN, 0 or 1.
"""

import pathlib

import numpy
import sklearn
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

CASES = [  # name, examples, share of positives, logits' deviation, weights
    ("equal-weights", 300, 0.3, 1.5, [1.0]),
    ("negatives-kept-1-in-10", 400, 0.4, 1.0, [1.0, 10.0]),
    ("many-ties", 300, 0.2, 0.02, [0.5, 1.0, 2.25]),
    ("rare-positives", 500, 0.02, 2.0, [1.0, 50.0]),
    ("one-logit-for-all", 100, 0.4, 0.0, [1.0, 3.0]),
    ("wide-logits", 300, 0.5, 4.0, [1.0, 0.125, 7.0]),
    ("weights-of-any-size", 300, 0.3, 1.0, None),
    ("many-ties-weights-of-any-size", 300, 0.5, 0.03, None),
    ("two-examples", 2, 0.5, 1.0, None),
    ("negatives-alone", 60, 0.0, 1.0, None),
    ("positives-alone", 60, 1.0, 1.0, None),
    ("one-positive", 1, 1.0, 1.0, None),
]


def centred(logit):
    return (numpy.floor(numpy.clip(logit, -6, 6) * 128) + 0.5) / 128


def sigmoid(logit):
    return 1 / (1 + numpy.exp(-logit))


def figures(y, logit, reference, weight):
    def loss(p):
        return log_loss(y, p, sample_weight=weight, labels=[0, 1])

    p, base_rate = sigmoid(logit), numpy.average(y, weights=weight)
    both = 0 < y.sum() < len(y)
    yield "log_loss", loss(p)
    yield "paired_loss", loss(p) - loss(sigmoid(reference))
    yield "normalised_entropy", loss(p) / loss(numpy.full(len(y), base_rate)) if both else None
    yield "calibration", numpy.average(p, weights=weight) / base_rate if y.any() else None
    yield "roc_auc", roc_auc_score(y, logit, sample_weight=weight) if both else None
    yield "pr_auc", average_precision_score(y, logit, sample_weight=weight) if both else None


def main():
    random = numpy.random.default_rng(20240501)
    lines = []
    for name, n, share, deviation, weights in CASES:
        y = (random.random(n) < share).astype(int)
        if name == "two-examples":
            y = numpy.array([1, 0])
        raw = -1 + deviation * random.standard_normal(n) + 0.7 * deviation * y
        logit, reference = centred(raw), centred(raw + 0.3 * random.standard_normal(n))
        weight = random.choice(weights, n) if weights else numpy.exp(random.standard_normal(n))
        lines.append(f"case {name} {n}")
        rows = zip(logit.tolist(), reference.tolist(), y.tolist(), weight.tolist())
        lines += [f"{a!r} {b!r} {c!r} {d!r}" for a, b, c, d in rows]
        for figure, value in figures(y, logit, reference, weight):
            lines.append(f"{figure} {'null' if value is None else repr(float(value))}")
    out = pathlib.Path(__file__).parent.parent / "data" / "metric" / "golden.txt"
    out.write_text(f"# by make_golden.py, scikit-learn {sklearn.__version__}\n" + "\n".join(lines) + "\n")


main()
