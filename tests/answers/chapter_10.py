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
    variances = [
        sum((v - sum(x) / n) ** 2 for v in x) / (n - 1) for x in (list(a), list(b))
    ]
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
    "10.1": (
        paired,
        {
            "b minus a": lambda a, b: paired(b, a),
            "standard deviation; the mean": lambda a, b: paired(a, b, divide=False),
            "not by n": lambda a, b: paired(a, b, root=False),
            "ddof=1": lambda a, b: paired(a, b, less=0),
            "pairs": unpaired,
        },
    ),
    "10.2": (
        counted(),
        {
            "biases": counted(biases=True),
            "f² weights": counted(power=1),
            "not f": counted(grow=0, start=0),
            "own pixel": counted(start=0),
            "last layer": counted(last=False),
            "all maps": counted(over_all=False),
        },
    ),
    "10.3": (
        8,
        {
            "second mean": 4,
            "once its error": 2,
            "both variants together": 16,
        },
    ),
}
