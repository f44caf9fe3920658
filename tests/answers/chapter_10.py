import math


def paired(a, b, less=1, root=True, divide=True):
    gains = [y - x for x, y in zip(a, b, strict=True)]
    n = len(gains)
    mean = sum(gains) / n
    spread = math.sqrt(sum((g - mean) ** 2 for g in gains) / (n - less))
    if divide:
        spread /= math.sqrt(n) if root else n
    return mean, spread


def unpaired(a, b):
    n = len(a)
    variances = (sum((v - sum(x) / n) ** 2 for v in x) / (n - 1) for x in (a, b))
    return sum(b) / n - sum(a) / n, math.sqrt(sum(variances) / n)


def counted(power=2, biases=False, last=True, grow=1, start=1, over_all=True):
    def cost(f, n):
        before, weights, window = 1, 0, start
        for k, width in enumerate(f):
            maps = n[k] if k < len(n) else 1
            if k < len(n) or last:
                weights += (before if over_all else 1) * maps * width**power
            weights += maps if biases else 0
            window += width - grow
            before = maps
        return weights, window

    return cost


ANSWERS = {
    "10.1": (paired, {
        "sign": lambda a, b: paired(b, a),
        "deviation": lambda a, b: paired(a, b, divide=False),
        "by-n": lambda a, b: paired(a, b, root=False),
        "ddof": lambda a, b: paired(a, b, less=0), "unpaired": unpaired,
    }),
    "10.2": (counted(), {
        "biases": counted(biases=True), "squares": counted(power=1),
        "widths": counted(grow=0, start=0), "own-pixel": counted(start=0),
        "last-layer": counted(last=False), "one-map": counted(over_all=False),
    }),
    "10.3": (8, {
        "one-mean": 4, "once": 2, "both": 16,
    }),
}  # fmt: skip
