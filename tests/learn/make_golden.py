#!/usr/bin/env python3
"""Writes tests/data/golden/: what PyTorch learns in 100 steps, for golden_test.c.

Needs torch (any version with Adagrad, SGD and Adam). Run it from anywhere; the files are small and
committed. Everything is little-endian; golden_test.c is the reader.

batches.bin   u32 n_steps, B, F, V; then each row of each step:
                  u8 kind (0: click stage, 1: install stage of a clicked one), y, z, 0
                  f32 weight, base_weight
                  each feature: u32 n_pairs; each pair: u32 value, f32 coefficient
CASE.bin      each tower: embedding (F * (V + 1), D), row f (V + 1) + v is value v of feature f, v = V
                  its default row; then its tensors in the order of the network: f32, before learning
              f64 losses (n_steps): mean weighted loss of each step
              all tensors again, after learning

Values from N_ROWS on have no row of their own: they read and train the default row.
"""
import pathlib
import random
import struct

import torch
from torch.nn.functional import binary_cross_entropy, binary_cross_entropy_with_logits

N_STEPS, B, F, V, N_ROWS, D = 100, 16, 3, 12, 10, 4
SHARED, HIDDEN = [8, 6], [5]
KEEP = 0.4
HEADS = {
    "ip": ("ctr", "cvr"), "esmm": ("ctr", "cvr"), "esmm-ns": ("ctr", "cvr"),
    "essp-split": ("ctr", "ctcvr"), "ipsp": ("ctr", "cvr"), "esp": ("ctcvr",), "ctr": ("ctr",),
}
TWO_TOWERS = ("ip", "esmm-ns")
OUT = pathlib.Path(__file__).resolve().parent.parent / "data" / "golden"


def make_batches():
    """A list of steps, each a list of rows (kind, y, z, weight, base, [[(value, coefficient)]])."""
    rng = random.Random(2108)
    steps = []
    for _ in range(N_STEPS):
        rows = []
        for _ in range(B):
            kind = int(rng.random() < 0.3)
            values = [[(rng.randrange(V), 1.0)] for _ in range(F)]
            if rng.random() < 0.2:
                values[1].append((rng.randrange(V), 1.0))
            values[2] = [(values[2][0][0], struct.unpack("f", struct.pack("f", rng.gauss(0, 1)))[0])]
            p = 0.15 + 0.6 * (values[0][0][0] % 3 == 0) + 0.1 * (values[1][0][0] % 2)
            y = 1 if kind else int(rng.random() < p)
            z = int(y and rng.random() < 0.3 + 0.4 * (values[2][0][0] % 4 == 0))
            base = rng.choice([1.0, 1.0, 0.5, 3.0])
            rows.append((kind, y, z, base if y else base / KEEP, base, values))
        steps.append(rows)
    return steps


def write_batches(steps):
    with open(OUT / "batches.bin", "wb") as file:
        file.write(struct.pack("<4I", N_STEPS, B, F, V))
        for kind, y, z, weight, base, values in (row for rows in steps for row in rows):
            file.write(struct.pack("<4B2f", kind, y, z, 0, weight, base))
            for pairs in values:
                file.write(struct.pack("<I", len(pairs)))
                for value, coefficient in pairs:
                    file.write(struct.pack("<If", value, coefficient))


class Tower(torch.nn.Module):
    def __init__(self, heads):
        super().__init__()
        self.embedding = torch.nn.Parameter(0.3 * torch.randn(F * (V + 1), D))
        sizes = [F * D] + SHARED
        self.shared = torch.nn.ModuleList(torch.nn.Linear(a, b) for a, b in zip(sizes, sizes[1:]))
        sizes = [SHARED[-1]] + HIDDEN + [1]
        self.heads = torch.nn.ModuleDict(
            {h: torch.nn.ModuleList(torch.nn.Linear(a, b) for a, b in zip(sizes, sizes[1:]))
             for h in heads})

    def dense(self):
        layers = list(self.shared) + [layer for head in self.heads.values() for layer in head]
        return [p for layer in layers for p in (layer.weight, layer.bias)]

    def forward(self, rows):
        inputs = []
        for *_, values in rows:
            features = []
            for f, pairs in enumerate(values):
                index = [f * (V + 1) + (v if v < N_ROWS else V) for v, _ in pairs]
                scale = torch.tensor([c for _, c in pairs]).unsqueeze(1)
                features.append((self.embedding[index] * scale).sum(0))
            inputs.append(torch.cat(features))
        x = torch.stack(inputs)
        for layer in self.shared:
            x = torch.relu(layer(x))
        logits = {}
        for name, head in self.heads.items():
            h = x
            for layer in head[:-1]:
                h = torch.relu(layer(h))
            logits[name] = head[-1](h).squeeze(1)
        return logits


def loss_of(setup, correction, rows, logits):
    """The sum of the rows' weighted losses; probabilities in double, without our formulas."""
    kind, y, z, weight, base = (torch.tensor([float(row[i]) for row in rows], dtype=torch.float64)
                                for i in range(5))
    bce = lambda x, t: binary_cross_entropy_with_logits(x, t, reduction="none")
    shift, space = 0.0, weight
    if correction == "offset":
        shift, space = -torch.log(torch.tensor(KEEP, dtype=torch.float64)), base
    logits = {name: x.double() for name, x in logits.items()}
    total = torch.zeros(len(rows), dtype=torch.float64)
    two_stage = setup in ("ip", "ipsp")
    if "ctr" in logits:
        click = space * bce(logits["ctr"] + shift, y)
        total = total + (click * (1 - kind) if two_stage else click)
    if two_stage:
        total = total + kind * weight * bce(logits["cvr"], z)
    elif "cvr" in logits:
        p = torch.sigmoid(logits["ctr"] + shift) * torch.sigmoid(logits["cvr"])
        total = total + space * binary_cross_entropy(p, z, reduction="none")
    elif "ctcvr" in logits:
        total = total + weight * bce(logits["ctcvr"], z)
    return total.sum()


class LazyAdam:
    """Adam for embedding rows: a row has its own step count and changes only when it is used."""

    def __init__(self, params, lr):
        self.params, self.lr = params, lr
        self.state = [(torch.zeros_like(p), torch.zeros_like(p), torch.zeros(len(p))) for p in params]

    def step(self, used):
        for p, (m, v, n) in zip(self.params, self.state):
            for r in sorted(used):
                n[r] += 1
                g = p.grad[r]
                m[r] = 0.9 * m[r] + 0.1 * g
                v[r] = 0.999 * v[r] + 0.001 * g * g
                m_hat, v_hat = m[r] / (1 - 0.9 ** n[r]), v[r] / (1 - 0.999 ** n[r])
                p.data[r] -= self.lr * m_hat / (v_hat.sqrt() + 1e-8)


class Stock:
    def __init__(self, optimizer):
        self.optimizer = optimizer

    def step(self, used):
        self.optimizer.step()


def make_optimizers(kind, towers):
    dense = [p for tower in towers for p in tower.dense()]
    sparse = [tower.embedding for tower in towers]
    if kind == "adagrad":
        adagrad = lambda ps: torch.optim.Adagrad(ps, lr=0.05, initial_accumulator_value=0.1,
                                                 eps=1e-10)
        return [Stock(adagrad(dense)), Stock(adagrad(sparse))]
    if kind == "sgd":
        return [Stock(torch.optim.SGD(dense, lr=0.05)), Stock(torch.optim.SGD(sparse, lr=0.02))]
    return [Stock(torch.optim.Adam(dense, lr=0.01, eps=1e-8)), LazyAdam(sparse, 0.01)]


def tensors(towers):
    return b"".join(t.detach().numpy().astype("<f4").tobytes()
                    for tower in towers for t in [tower.embedding] + tower.dense())


def run(setup, kind, correction, steps):
    torch.manual_seed(7)
    heads = HEADS[setup]
    towers = [Tower((h,)) for h in heads] if setup in TWO_TOWERS else [Tower(heads)]
    before, losses = tensors(towers), []
    optimizers = make_optimizers(kind, towers)
    for rows in steps:
        logits = {}
        for tower in towers:
            tower.zero_grad()
            logits.update(tower(rows))
        loss = loss_of(setup, correction, rows, logits)
        loss.backward()
        for tower in towers:
            for p in tower.dense():
                p.grad /= B
        used = {f * (V + 1) + (v if v < N_ROWS else V)
                for row in rows for f, pairs in enumerate(row[5]) for v, _ in pairs}
        for optimizer in optimizers:
            optimizer.step(used)
        losses.append(loss.item() / len(rows))
    with open(OUT / f"{setup}-{kind}-{correction}.bin", "wb") as file:
        file.write(before + struct.pack(f"<{N_STEPS}d", *losses) + tensors(towers))
    print(f"{setup}-{kind}-{correction}: {losses[0]:.4f} -> {losses[-1]:.4f}")


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    steps = make_batches()
    write_batches(steps)
    for setup in HEADS:
        run(setup, "adagrad", "weight", steps)
        if setup in ("ipsp", "esmm", "essp-split"):
            run(setup, "adagrad", "offset", steps)
    run("ipsp", "sgd", "weight", steps)
    run("ipsp", "adam", "weight", steps)


if __name__ == "__main__":
    main()
