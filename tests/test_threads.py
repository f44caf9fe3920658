"""Threads by trial, on a clock of the tests' own."""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import torch

from srcnn_lib.threads import REST, STEPS, Threads, spread

TRIAL = 2 * (STEPS + 1)


class Machine:
    """Two cores on which a step with n threads takes ``seconds[n]``."""

    def __init__(self, monkeypatch):
        self.count, self.now, self.used = 2, 0.0, []
        self.seconds = {1: 1.0, 2: 0.8}
        monkeypatch.setattr(torch, "get_num_threads", lambda: self.count)
        monkeypatch.setattr(torch, "set_num_threads", partial(setattr, self, "count"))

    def threads(self, wanted=None):
        return Threads(wanted, clock=lambda: self.now)

    def step(self):
        self.used.append(self.count)
        self.now += self.seconds[self.count]
        return "result"

    def run(self, threads, steps):
        """The numbers of threads of so many steps."""
        self.used = []
        assert {threads(self.step) for _ in range(steps)} == {"result"}
        return self.used


@pytest.fixture
def machine(monkeypatch):
    return Machine(monkeypatch)


@pytest.mark.parametrize("two, chosen", [(0.8, 2), (0.95, 1), (1.5, 1)])
@pytest.mark.parametrize("first", [1.0, 6.0])
def test_the_faster_by_a_clear_margin_is_taken(machine, two, chosen, first):
    machine.seconds, threads = {1: first, 2: first}, machine.threads()
    tried = machine.run(threads, 2)  # the first steps don't count
    machine.seconds = {1: 1.0, 2: two}
    tried = tried + machine.run(threads, TRIAL - 2)
    assert tried.count(1) == tried.count(2) == STEPS + 1
    assert set(machine.run(threads, REST)) == {chosen}
    assert machine.count == 2  # as before


def test_it_falls_back_while_running_and_looks_again(machine):
    threads = machine.threads()
    machine.run(threads, TRIAL + 10)
    machine.seconds[2] = 20.0  # another program takes a core
    used = machine.run(threads, 50)
    assert used[:2] == [2, 1] and set(used[1:]) == {1}
    assert machine.run(threads, 2 * REST * TRIAL).count(2) < 30  # hopeless trials
    machine.seconds[2] = 0.8
    machine.run(threads, 2 * REST * TRIAL)
    assert set(machine.run(threads, 10)) == {2}


@pytest.mark.parametrize("two", [0.6, 0.99, 3.0, 20.0, 400.0])
@pytest.mark.parametrize("period", [0, 100, 1000])
def test_it_is_never_much_slower_than_one_thread(machine, two, period):
    """…whether the other program is always there or comes and goes."""
    threads = machine.threads()
    for i in range(10):
        machine.seconds[2] = 0.8 if period and i % 2 else two
        machine.run(threads, period or 3000)
    # A slow step shows that a trial is hopeless, or that all threads now are slow.
    assert machine.now < 1.3 * 10 * (period or 3000) + two * (10 if period else 1)


def test_a_wanted_number_is_kept(machine):
    machine.seconds[2] = 20.0
    assert set(machine.run(machine.threads(2), 100)) == {2}
    machine.seconds[2] = 0.1
    assert set(machine.run(machine.threads(1), 100)) == {1}
    with pytest.raises(ZeroDivisionError):
        machine.threads(1)(lambda: 1 / 0)
    assert machine.count == 2  # as before
    machine.count = 1  # a machine of one core: there is nothing to try
    assert set(machine.run(machine.threads(), 100)) == {1}


def test_work_is_spread_over_threads_of_one_torch_thread(one_thread):
    torch.set_num_threads(2)
    both = threading.Barrier(2, timeout=20)

    def work(item):
        both.wait()  # passes only if two are at work at a time
        return item * 10, torch.get_num_threads()

    assert list(spread(work, range(6))) == [(10 * n, 1) for n in range(6)]
    with pytest.raises(ZeroDivisionError):
        list(spread(lambda item: 1 / item, [0, 1]))
    with ThreadPoolExecutor() as later:  # new threads begin with the caller's number
        assert later.submit(torch.get_num_threads).result() == 2
