"""Writes tests/data/metric/golden.txt: examples and what scikit-learn makes of them.

    python3 -m venv venv && venv/bin/pip install scikit-learn && venv/bin/python make_golden.py

Logits lie on the centres of the AUC's bins (multiples of 1/128 plus 1/256), so that ties within a
bin are ties of the exact figures too, and sklearn's answers are ours to the rounding of doubles.

The file: "case NAME N", N lines "LOGIT LABEL WEIGHT", then "log_loss X", "roc_auc X", "pr_auc X".
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
]


def main():
    random = numpy.random.default_rng(20240501)
    lines = []
    for name, n, share, deviation, weights in CASES:
        y = (random.random(n) < share).astype(int)
        raw = -1 + deviation * random.standard_normal(n) + 0.7 * deviation * y
        logit = (numpy.floor(numpy.clip(raw, -6, 6) * 128) + 0.5) / 128
        weight = random.choice(weights, n)
        p = 1 / (1 + numpy.exp(-logit))
        lines.append(f"case {name} {n}")
        lines += [f"{a!r} {b} {c!r}" for a, b, c in zip(logit.tolist(), y.tolist(), weight.tolist())]
        lines.append(f"log_loss {float(log_loss(y, p, sample_weight=weight))!r}")
        lines.append(f"roc_auc {float(roc_auc_score(y, logit, sample_weight=weight))!r}")
        lines.append(f"pr_auc {float(average_precision_score(y, logit, sample_weight=weight))!r}")
    out = pathlib.Path(__file__).parent.parent / "data" / "metric" / "golden.txt"
    out.write_text(f"# by make_golden.py, scikit-learn {sklearn.__version__}\n" + "\n".join(lines) + "\n")


main()
