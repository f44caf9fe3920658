import math


def margin(filters, scale):
    reach, small = halves(filters), 2
    while reach > 0:
        reach -= scale
        small += 1
    return small


def halves(filters):
    return sum(f // 2 for f in filters)


def plan(above=True, clamp_top=True, clamp_end=True, clamp_kept=True, throw="read"):
    def bands_of(height, rows, margin):
        found, top = [], 0
        while top < height:
            end = top + rows
            if clamp_kept and end > height:
                end = height
            first = top - margin if above else top
            if clamp_top and first < 0:
                first = 0
            last = (min(end, height) if clamp_end else top + rows) + margin
            if clamp_end and last > height:
                last = height
            thrown = margin if throw == "always" else top - first
            found.append([first, last, thrown, end - top])
            top += rows
        return found

    return bands_of


ANSWERS = {
    "11.1": (margin, {
        "bicubic": lambda f, s: margin(f, s) - 2,
        "down": lambda f, s: int(halves(f) / s) + 2,
        "always-up": lambda f, s: halves(f) // s + 3,
        "width": lambda f, s: math.ceil(sum(x - 1 for x in f) / s) + 2,
        "scale": lambda f, s: halves(f) + 2,
        "widest": lambda f, s: math.ceil((max(f) - 1) / 2 / s) + 2,
    }),
    "11.2": (plan(), {
        "kept-beyond": plan(clamp_end=False, clamp_kept=False),
        "beyond": plan(clamp_end=False), "negative": plan(clamp_top=False),
        "thrown": plan(throw="always"), "equal": plan(clamp_kept=False),
        "left-out": lambda h, r, m: plan()(h, r, m)[:-1],
        "below-only": plan(above=False),
    }),
    "11.4": (1.74, {
        "short-side": 1.64, "inch": 4.42, "inverse": 0.5747,
    }),
}  # fmt: skip
