"""Steps per second of PyTorch on the mlp of examples/composite_heat.msl: 2 inputs, 3 hidden layers of 32, gelu (exact), a head that
makes a symmetric positive definite 2×2 matrix, the mean over the rows of ‖k - k*‖/‖k*‖, Adam.

Answers lines on standard input: `MODE THREADS ROWS BATCH BUDGET` → seconds of one step, and the loss after the last. Steps are
taken 25 at a time until BUDGET seconds are over, and the best 25 count.
MODE: eager, compile (torch.compile, max-autotune off), fused (eager, with Adam(fused=True)).
"""
import sys, time
import torch

torch.manual_seed(0)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        layers, n = [], 2
        for _ in range(3):
            layers += [torch.nn.Linear(n, 32), torch.nn.GELU()]
            n = 32
        layers.append(torch.nn.Linear(n, 3))
        for l in layers:
            if isinstance(l, torch.nn.Linear):
                torch.nn.init.xavier_uniform_(l.weight)
                torch.nn.init.zeros_(l.bias)
        self.body = torch.nn.Sequential(*layers)

    def forward(self, x):
        # scale·(L Lᵀ + ε I), L = I + lower-triangular z; written without small matrices, which PyTorch is slow at.
        a, b, c = self.body(x).unbind(1)
        a, c = 1 + a, 1 + c
        return 0.5 * torch.stack((a * a + 1e-6, a * b, a * b, b * b + c * c + 1e-6), 1)


def data(n):
    g = torch.Generator().manual_seed(1)
    x = torch.rand(n, 2, generator=g) * 2 - 1
    k = 0.3 + 0.1 * x[:, 0] + 0.2 * x[:, 1] ** 2
    return (1.7 * x).contiguous(), torch.stack((k, 0.01 * x[:, 0], 0.01 * x[:, 0], 1.1 * k), 1)


def prepare(mode, rows, batch):
    net = Net()
    x, y = data(rows)
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3, fused=mode == "fused")

    def loss_of(x, y):
        return ((net(x) - y).norm(dim=1) / y.norm(dim=1)).mean()

    f = torch.compile(loss_of) if mode == "compile" else loss_of
    order, at = torch.randperm(rows), 0

    def step():
        nonlocal order, at
        if batch < rows:
            if at + batch > rows:
                order, at = torch.randperm(rows), 0
            rows_now = order[at : at + batch]
            at += batch
            l = f(x[rows_now], y[rows_now])
        else:
            l = f(x, y)
        optimiser.zero_grad(set_to_none=True)
        l.backward()
        optimiser.step()
        return l

    for _ in range(50):
        step()
    return step


prepared = {}
for line in sys.stdin:
    mode, threads, rows, batch, budget = line.split()
    key = (mode, int(rows), int(batch))
    try:
        torch.set_num_threads(int(threads))
        if key not in prepared:
            prepared[key] = prepare(*key)
        step, seconds, begin = prepared[key], float("inf"), time.perf_counter()
        while time.perf_counter() - begin < float(budget):
            at = time.perf_counter()
            for _ in range(25):
                l = step()
            seconds = min(seconds, (time.perf_counter() - at) / 25)
        print(f"{seconds:.9g} {l.item():.6g}", flush=True)
    except Exception as e:  # torch.compile needs a C++ compiler, for example
        print(f"nan nan {type(e).__name__}: {e}".replace("\n", " ")[:300], flush=True)
