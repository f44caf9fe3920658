class Threads:
    def __init__(self, wanted=None): pass
    def __call__(self, step): return step()
