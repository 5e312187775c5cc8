#!/usr/bin/env python3
"""setups_table.py - models side by side from the CSV of `espalier drift`, one file a seed.

Usage: setups_table.py MODEL,MODEL... FILE...

Prints a Markdown table a task: cross-entropy at age 0 over the later half of the windows of all
files, and the difference to the first model in per cent of its cross-entropy, with a 95 % interval
and file by file.

A window's sums of two models are of the same examples, so their difference is paired. The pooled
difference is a ratio of sums over windows, d = sum(L_m - L_ref) / sum(W); windows are its units, and
its variance that of the linearised ratio (Cochran, Sampling Techniques, 1977, section 2.11):

    n / (n - 1) * sum((L_m - L_ref - d W)^2) / sum(W)^2

That is the chance of the examples with these trained models. It does not hold what another seed of
events or weights would move: for this the differences of the single files stand beside it.
"""
import csv
import math
import sys

TASKS = {"click": "Click", "install_given_click": "Install given click", "install": "Install"}


def read(path):
    """{task: {model: {window: (w, l, examples, positives)}}} of age 0, later half of the windows."""
    rows = []
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            if row["kind"] == "holdout" and row["age"] == "0":
                rows.append(row)
    starts = sorted({row["window_start"] for row in rows})
    later = set(starts[len(starts) // 2:])
    tasks = {}
    for row in rows:
        if row["window_start"] in later:
            model = tasks.setdefault(row["task"], {}).setdefault(row["model"], {})
            model[row["window_start"]] = (float(row["sums_w"]), float(row["sums_l"]),
                                          int(row["examples"]), int(row["positives"]))
    return tasks


def paired(model, reference):
    """(W, L, L of the reference) by window; both must have the same windows and examples."""
    if model.keys() != reference.keys():
        sys.exit("setups_table.py: two models have different windows")
    units = []
    for window, (w, l, n, _) in model.items():
        ref_w, ref_l, ref_n, _ = reference[window]
        if n != ref_n or abs(w - ref_w) > 1e-9 * ref_w:
            sys.exit(f"setups_table.py: window {window}: two models have different examples")
        units.append((w, l, ref_l))
    return units


def ratio(units):
    """Loss, difference and its standard error, in nats."""
    n = len(units)
    total = sum(w for w, _, _ in units)
    loss = sum(l for _, l, _ in units) / total
    d = sum(l - ref for _, l, ref in units) / total
    squares = sum((l - ref - d * w) ** 2 for w, l, ref in units)
    return loss, d, math.sqrt(n / (n - 1) * squares) / total


def print_task(task, files, models):
    name, models = models[0], [model for model in models if model in files[0][task]]
    reference = [file[task][name] for file in files]
    windows = [window for file in reference for window in file.values()]
    print(f"**{TASKS[task]}**: {len(windows)} windows, {sum(n for _, _, n, _ in windows):,} examples, "
          f"{sum(p for *_, p in windows):,} positives.\n")
    print(f"| set-up | cross-entropy | to `{name}` | 95 % interval | by seed |")
    print("|---|---|---|---|---|")
    for model in models:
        by_file = [paired(file[task][model], ref) for file, ref in zip(files, reference)]
        loss, d, error = ratio([unit for units in by_file for unit in units])
        scale = 100 / (loss - d)
        if model == name:
            print(f"| `{model}` | {loss:.5f} | | | |")
            continue
        seeds = ", ".join(f"{100 * s[1] / (s[0] - s[1]):+.2f}" for s in map(ratio, by_file))
        print(f"| `{model}` | {loss:.5f} | {scale * d:+.2f} % | {scale * (d - 1.96 * error):+.2f} to "
              f"{scale * (d + 1.96 * error):+.2f} % | {seeds} |")
    print()


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    files = [read(path) for path in sys.argv[2:]]
    for path, file in zip(sys.argv[2:], files):
        if not file:
            sys.exit(f"setups_table.py: {path} has no records of age 0")
    for task in filter(files[0].get, TASKS):
        print_task(task, files, sys.argv[1].split(","))


main()
