"""How many threads: one rule for training and inference, in pages and tests.

Threads that share an operation wait for each other at its end.  If another program
needs the core of one, all wait, and a step can take twenty times as long.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from statistics import fmean

import torch

#: Steps of a trial with each number of threads, after one to warm up; the share of one
#: thread's time that is a clear gain; time to the next trial, in times of the last.
STEPS, CLEAR, REST = 5, 0.9, 50


class Threads:
    """Run steps with `wanted` threads; None: with one or all, found by trial."""

    def __init__(self, wanted: int | None = None, clock=time.perf_counter):
        self.count = self.all = wanted or torch.get_num_threads()
        self.fixed, self.clock = wanted is not None or self.all == 1, clock
        self._begin_trial()

    def __call__(self, step: Callable):
        """Run ``step()`` and return its result."""
        count = self.plan.pop() if self.plan else self.count
        before, began = torch.get_num_threads(), self.clock()
        torch.set_num_threads(count)
        try:
            return step()
        finally:
            torch.set_num_threads(before)
            if not self.fixed:
                self._note(count, self.clock() - began)

    def _begin_trial(self) -> None:
        self.plan = [] if self.fixed else [self.all, 1] * (STEPS + 1)
        self.seconds, self.next = {1: [], self.all: []}, None

    def _note(self, count: int, seconds: float) -> None:
        self.seconds[count] = [*self.seconds[count], seconds][-STEPS:]
        if self.plan and seconds <= STEPS * fmean(self.seconds[1]):  # else hopeless
            return
        one, all_ = map(fmean, self.seconds.values())
        if self.next is None:  # the trial has ended
            self.plan, spent = [], sum(map(sum, self.seconds.values()))
            self.next = self.clock() + REST * spent
            self.count = self.all if all_ < CLEAR * one else 1
        elif count > 1 and all_ > one:
            self.count = 1  # fall back at once
        if self.clock() > self.next:
            self._begin_trial()


def spread(work: Callable, items: Iterable) -> Iterator:
    """``work(item)`` for all items, in order, by as many Python threads as torch has.

    Each has one torch thread.  None waits for another, so this needs no trial.
    """
    count = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(count, "work", torch.set_num_threads, (1,)) as pool:
            yield from pool.map(work, items)
    finally:
        torch.set_num_threads(count)  # also for threads that begin later
