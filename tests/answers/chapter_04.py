import numpy as np
import torch


def neighbours(x, lr, hr, count, flip=(1, 1), key=abs):
    found = []
    for k in range(len(lr)):
        found.append((key(float(lr[k] @ x)), k))
    found.sort(reverse=True)
    features, patches = [], []
    for _, k in found[:count]:
        negative = lr[k] @ x < 0
        features.append(-lr[k] if negative and flip[0] else lr[k])
        patches.append(-hr[k] if negative and flip[1] else hr[k])
    return np.array(features), np.array(patches)


def by_sign(x, lr, hr, count):
    lr, hr, x = map(torch.from_numpy, (lr, hr, x))
    at = (lr @ x).topk(count).indices
    return lr[at], hr[at]


def least(x, lr, hr, count):
    return neighbours(x, lr, hr, count, key=lambda product: -abs(product))


def upside_down(x, lr, hr, count):
    features, patches = neighbours(x, lr, hr, count)
    return features[::-1], patches[::-1]


def magnitudes(x, lr, hr, count):
    features, patches = neighbours(x, lr, hr, count)
    return abs(features), abs(patches)


def by_product(x, lr, hr, count):
    at = np.argsort(abs(lr @ x))[::-1][:count]
    return np.diag(lr[at] @ x) @ lr[at], np.diag(lr[at] @ x) @ hr[at]


def projection(N, H, ridge):
    N, H = torch.from_numpy(N), torch.from_numpy(H)
    inner = N.T @ N
    for j in range(len(inner)):
        inner[j, j] += ridge
    return torch.linalg.inv(inner) @ N.T @ H


def projection_of_many(N, H, ridge):
    """The chapter's, of k×k."""
    return N.T @ np.linalg.inv(N @ N.T + ridge * np.eye(len(N))) @ H


def ridge_everywhere(N, H, ridge):
    return np.linalg.inv(N.T @ N + ridge) @ N.T @ H


def anchored(x, anchors, P):
    out = []
    for window in x:
        best = 0
        for k in range(len(anchors)):
            if abs(anchors[k] @ window) > abs(anchors[best] @ window):
                best = k
        out.append(window @ P[best])
    return np.array(out)


def anchored_by(likeness, apply=lambda window, anchor, P: window @ P):
    def answer(x, anchors, P):
        out = np.zeros((len(x), P.shape[2]))
        for i, window in enumerate(x):
            k = max(range(len(anchors)), key=lambda k: likeness(anchors[k], window))
            out[i] = apply(window, anchors[k], P[k])
        return out

    return answer


def alike(anchor, window):
    return abs(anchor @ window)


def same_anchor(x, anchors, P):
    return x @ P[abs(anchors @ x.T).sum(axis=1).argmax()]


def mean_anchor(x, anchors, P):
    return sum(x @ matrix for matrix in P) / len(P)


def kernel(x, X, Y, sigma, ridge, over=None, power=2, high=1.0, last=True):
    over = over or 2 * sigma**2

    def bump(a, b):
        return high * np.exp(-(np.linalg.norm(a - b) ** power) / over)

    K = np.array([[bump(a, b) for b in X] for a in X])
    for k in range(len(X)):
        K[k, k] += ridge
    coefficients = np.linalg.inv(K) @ Y
    if not last:
        return coefficients
    return np.array(
        [sum(bump(a, X[k]) * coefficients[k] for k in range(len(X))) for a in x]
    )


def weighed(x, X, Y, sigma, ridge):
    K = torch.cdist(torch.from_numpy(x), torch.from_numpy(X)).square()
    return torch.exp(-K / (2 * sigma**2)) @ torch.from_numpy(Y)


def ridged(x, X, Y, sigma, ridge):
    X, x = torch.from_numpy(X), torch.from_numpy(x)
    K = torch.exp(-torch.cdist(X, X).square() / (2 * sigma**2))
    coefficients = torch.linalg.solve(K + ridge, torch.from_numpy(Y))
    return torch.exp(-torch.cdist(x, X).square() / (2 * sigma**2)) @ coefficients


def nadaraya(x, X, Y, sigma, ridge):
    K = torch.cdist(torch.from_numpy(x), torch.from_numpy(X)).square()
    return torch.softmax(-K / (2 * sigma**2), dim=1) @ torch.from_numpy(Y)


ANSWERS = {
    "4.1": (
        np.array([4 / 5, 1 / 5]),
        {
            "divide by their sum": (1 / 2, 1 / 8),
            "rebuild x exactly": tuple(np.linalg.solve([[3, 4], [2, -1]], [2, 1])),
            "other way round": (0.2, 0.8),
            "a quarter of the weight": (1 - 1 / 3, 1 / 3),
            "the nearer one alone": (1.0, 0.0),
            "none of the 2": (0.6, 0.4),
            "not equally far": (0.5, 0.5),
        },
    ),
    "4.2": (
        neighbours,
        {
            "must be negated.": lambda *a: neighbours(*a, flip=(0, 0)),
            "patches must be negated": lambda *a: neighbours(*a, flip=(1, 0)),
            "features must be negated": lambda *a: neighbours(*a, flip=(0, 1)),
            "compare absolute values": by_sign,
            "sort downwards": least,
            "as a whole": magnitudes,
            "its size changes nothing": by_product,
            "this gave 1": lambda *a: neighbours(*a)[0],
            "most alike comes first": upside_down,
        },
    ),
    "4.3": (
        projection,
        {
            "use the d×d form": projection_of_many,
            "ridge is missing": lambda N, H, ridge: np.linalg.pinv(N) @ H,
            "on the diagonal": ridge_everywhere,
            "it is added": lambda N, H, ridge: projection(N, H, -ridge),
            "number of samples": lambda N, H, r: projection(N, H, r * N.shape[0]),
            "ridge is squared": lambda N, H, ridge: projection(N, H, ridge * ridge),
            "1 + λ": lambda N, H, ridge: projection(N, H, ridge) * (1 + ridge),
            "transposed": lambda N, H, ridge: projection(N, H, ridge).T,
        },
    ),
    "4.4": (
        anchored,
        {
            "absolute correlation": anchored_by(lambda a, x: a @ x),
            "keeps its sign": anchored_by(
                alike, lambda x, a, P: x @ P if a @ x > 0 else -x @ P
            ),
            "smallest distance": anchored_by(lambda a, x: -((a - x) ** 2).sum()),
            "brought to length one": anchored_by(
                alike, lambda x, a, P: x @ P / np.linalg.norm(x)
            ),
            "each has its own": same_anchor,
            "applied to the anchor": anchored_by(alike, lambda x, a, P: a @ P),
            "least alike": anchored_by(lambda a, x: -abs(a @ x)),
            "mean over all anchors": mean_anchor,
        },
    ),
    "4.5": (
        kernel,
        {
            "ridge is missing": lambda x, X, Y, s, r: kernel(x, X, Y, s, 0.0),
            "belongs on the diagonal": ridged,
            "a minus is missing": lambda x, X, Y, s, r: kernel(
                x, X, Y, s, r, -2 * s * s
            ),
            "1 in its middle": lambda x, X, Y, s, r: kernel(
                x, X, Y, s, r, high=(2 * np.pi * s * s) ** -0.5
            ),
            "these are the coefficients": lambda *a: kernel(*a, last=False),
            "the bump has 2σ²": lambda x, X, Y, s, r: kernel(x, X, Y, s, r, s * s),
            "σ is squared": lambda x, X, Y, s, r: kernel(x, X, Y, s, r, 2 * s),
            "not the distance": lambda x, X, Y, s, r: kernel(x, X, Y, s, r, power=1),
            "bumps overlap": weighed,
            "not ridge regression": nadaraya,
        },
    ),
}
