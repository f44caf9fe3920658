import math


def margin(filters, scale):
    reach = 0
    for width in filters:
        reach += width // 2
    small = 2
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
    "11.1": (
        margin,
        {
            "bicubic interpolation reaches": lambda f, s: margin(f, s) - 2,
            "round up": lambda f, s: int(halves(f) / s) + 2,
            "left over": lambda f, s: halves(f) // s + 3,
            "half its width": lambda f, s: math.ceil(sum(x - 1 for x in f) / s) + 2,
            "divide by the scale": lambda f, s: halves(f) + 2,
            "widest filter": lambda f, s: math.ceil((max(f) - 1) / 2 / s) + 2,
        },
    ),
    "11.2": (
        plan(),
        {
            "and keeps them": plan(clamp_end=False, clamp_kept=False),
            "its margin ends": plan(clamp_end=False),
            "negative row": plan(clamp_top=False),
            "none is thrown away": plan(throw="always"),
            "fewer rows to keep": plan(clamp_kept=False),
            "a band of their own": lambda h, r, m: plan()(h, r, m)[:-1],
            "above it too": plan(above=False),
        },
    ),
    "11.4": (
        1.74,
        {
            "short side": 1.64,
            "an inch": 4.42,
            "other way round": 0.5747,
        },
    ),
}
