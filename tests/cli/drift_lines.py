"""Plausible drift records as lines for drift-records: models that age on a world that changes.

    drift_lines.py [--days 14] [--models ipsp,esmm] [--production]

Hourly windows, ages 0 to 168, three tasks; ages from 16 on at every second window, and none older
than the stream. Units are examples; the second moments follow from the spread of losses that a
model of such a base rate has.
"""
import argparse
import datetime
import math
import random

AGES = [0, 1, 2, 4, 8, 16, 24, 48, 96, 168]
TASKS = [  # task, examples an hour, base rate, drift in nats at 24 h
    ("click", 6000, 0.05, 0.0021),
    ("install_given_click", 300, 0.12, 0.0060),
    ("install", 6000, 0.006, 0.00030),
]


def moments(n, positives, loss, spread, calibration):
    """The sums of n units of one example of weight 1."""
    p = positives * calibration
    rate = p / n
    pp = n * rate * rate * 3
    return dict(w=n, l=n * loss, p=p, y=positives, ww=n, wl=n * loss, wp=p, wy=positives,
                ll=n * (loss * loss + spread * spread), lp=n * loss * rate * 1.4,
                ly=positives * loss * 6, pp=pp, py=positives * rate * 2, yy=positives)


def line(**fields):
    print(*(f"{key}={value!r}" if isinstance(value, float) else f"{key}={value}"
            for key, value in fields.items()))


def window(rand, args, model, bias, hour, start):
    time = (start + datetime.timedelta(hours=hour)).strftime("%Y-%m-%dT%H:%M:%SZ")
    busy = 1 + 0.6 * math.sin((hour % 24 - 9) / 24 * 2 * math.pi)
    for task, per_hour, base, drift in TASKS:
        rate = base * (1 + 0.15 * math.sin(hour / 24 * 2 * math.pi))
        n = max(1, int(per_hour * busy))
        positives = sum(rand.random() < rate for _ in range(n)) if n < 2000 else max(
            0, int(rand.gauss(n * rate, math.sqrt(n * rate))))
        entropy = -(rate * math.log(rate) + (1 - rate) * math.log(1 - rate))
        learned = 0.92 + 0.05 * math.exp(-hour / 60)
        spread = entropy * 2.2
        noise = rand.gauss(0, spread / math.sqrt(n))
        common = dict(start=time, task=task, examples=n, positives=positives)
        kind = dict(model=model, setup=model)
        fresh = entropy * learned * bias + noise
        swing = rand.gauss(0, 1)  # a window's own, shared by its ages
        for age in AGES:
            if age > hour or (age >= 16 and hour % 2):
                continue
            gap = drift * math.log1p(age / 6) / math.log1p(4)
            apart = 90 * gap  # deviation of a unit's difference
            d = n * gap + apart * math.sqrt(n) * (0.9 * swing + 0.4 * rand.gauss(0, 1))
            d = d if age else 0
            calibration = 1 + 0.02 * rand.gauss(0, 1) + 0.001 * age
            fields = moments(n, positives, fresh + d / n, spread, calibration)
            if age:
                fields.update(paired_examples=n, paired_positives=positives, paired_clusters=n,
                              paired_w=n, paired_d=d, paired_dd=n * apart ** 2 + d * d / n,
                              paired_dw=d, paired_ww=n)
            elif args.production:
                k, q = int(0.97 * n), int(0.97 * positives)
                gain = -k * entropy * 0.01 + rand.gauss(0, 0.02 * math.sqrt(k))
                fields.update(production_examples=k, production_positives=q,
                              production_clusters=k, production_clipped=k // 1000,
                              production_w=k, production_d=gain, production_dd=k * 0.0004,
                              production_dw=gain, production_ww=k)
            line(**kind, kind="holdout", age=age, snapshot=490896 + hour - age, **common, **fields,
                 roc_auc=0.74 - 0.004 * math.log1p(age), pr_auc=rate * 2.4)
        m = n * 9
        more = dict(common, examples=m, positives=positives * 9)
        line(**kind, kind="progressive", **more,
             **moments(m, positives * 9, entropy * learned * bias * 1.01 + noise / 3, spread, 1.0))
        if args.production and model == args.models.split(",")[0]:
            line(model="production", setup="", kind="production", **common,
                 **moments(n, positives, fresh * 1.01, spread, 1.05), roc_auc=0.71)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--days", type=int, default=14)
    parser.add_argument("--models", default="ipsp,esmm")
    parser.add_argument("--production", action="store_true")
    args = parser.parse_args()
    rand = random.Random(7)
    start = datetime.datetime(2026, 1, 5)
    for i, model in enumerate(args.models.split(",")):
        for hour in range(24 * args.days):
            window(rand, args, model, 1 + 0.01 * i, hour, start)


main()
