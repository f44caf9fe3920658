"""Threads by trial, on a clock of the tests' own."""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import torch

from srcnn_lib.threads import REST, STEPS, Threads, spread


class Machine:
    """Steps that last as long as a machine would need; `seconds` of n threads."""

    def __init__(self, monkeypatch, count=2):
        self.count, self.now, self.used = count, 0.0, []
        self.seconds = {1: 1.0, 2: 0.8}
        monkeypatch.setattr(torch, "get_num_threads", lambda: self.count)
        monkeypatch.setattr(torch, "set_num_threads", partial(setattr, self, "count"))

    def step(self):
        self.used.append(self.count)
        self.now += self.seconds[self.count]
        return len(self.used)

    def run(self, threads, steps):
        """The numbers of threads of so many steps, and the seconds they took."""
        before, began = len(self.used), self.now
        for _ in range(steps):
            assert threads(self.step) == len(self.used)
        return self.used[before:], self.now - began


@pytest.fixture
def machine(monkeypatch):
    return Machine(monkeypatch)


def made(machine, wanted=None):
    return Threads(wanted, clock=lambda: machine.now)


TRIAL = 2 * (STEPS + 1)


@pytest.mark.parametrize("two, chosen", [(0.8, 2), (0.95, 1), (1.5, 1)])
def test_the_faster_by_a_clear_margin_is_taken(machine, two, chosen):
    machine.seconds[2] = two
    threads = made(machine)
    tried, _ = machine.run(threads, TRIAL)
    assert tried.count(1) == tried.count(2) == STEPS + 1
    used, _ = machine.run(threads, REST)
    assert set(used) == {chosen}
    assert machine.count == 2  # as before


def test_a_hopeless_trial_ends_early(machine):
    machine.seconds[2] = 20.0
    used, _ = machine.run(made(machine), 2 * REST)
    assert used.count(2) == 1


def test_the_first_step_does_not_count(machine):
    machine.seconds = {1: 6.0, 2: 6.0}
    threads = made(machine)
    machine.run(threads, 2)
    machine.seconds = {1: 1.0, 2: 0.8}
    machine.run(threads, TRIAL - 2)
    assert set(machine.run(threads, REST)[0]) == {2}


def test_it_falls_back_while_running_and_looks_again(machine):
    threads = made(machine)
    machine.run(threads, TRIAL + 10)
    machine.seconds[2] = 20.0  # another program takes a core
    used, _ = machine.run(threads, 50)
    assert used[:2] == [2, 1] and set(used[1:]) == {1}
    machine.seconds[2] = 0.8
    machine.run(threads, 2 * REST * TRIAL)
    assert set(machine.run(threads, 10)[0]) == {2}


@pytest.mark.parametrize("two", [0.6, 0.99, 3.0, 20.0, 400.0])
@pytest.mark.parametrize("period", [0, 100, 1000])
def test_it_is_never_much_slower_than_one_thread(machine, two, period):
    """…whether the other program is always there or comes and goes."""
    threads, seconds = made(machine), 0.0
    for i in range(10):
        machine.seconds[2] = 0.8 if period and i % 2 else two
        seconds += machine.run(threads, period or 3000)[1]
    # A slow step shows that a trial is hopeless, or that all threads now are slow.
    assert seconds < 1.3 * 10 * (period or 3000) + two * (10 if period else 1)


def test_a_wanted_number_is_kept(machine):
    machine.seconds[2] = 20.0
    assert set(machine.run(made(machine, 2), 100)[0]) == {2}
    machine.seconds[2] = 0.1
    assert set(machine.run(made(machine, 1), 100)[0]) == {1}
    machine.count = 1  # a machine of one core: there is nothing to try
    assert set(machine.run(made(machine), 100)[0]) == {1}


def test_a_step_that_fails_leaves_the_number_as_it_was(machine):
    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        made(machine, 1)(fail)
    assert machine.count == 2


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
