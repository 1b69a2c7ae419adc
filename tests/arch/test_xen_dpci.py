"""The dpci record between do_IRQ and the softirq: merging, retrying, and no interrupt forgotten in any order."""

from itertools import permutations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from exitless.arch.xen.dpci import Dpci, DpciRecord, begin, end, leave_list, raise_for, start_run, take_work


def state(record: DpciRecord) -> tuple[int, int, int]:
    return record.masked, record.sched, record.run


def made(masked: int, sched: int, run: int) -> DpciRecord:
    record = DpciRecord()
    record.masked, record.sched, record.run = masked, sched, run
    return record


def test_an_interrupt_queues_the_record_unless_it_is_queued() -> None:
    """Work is set always; a second interrupt before the softirq ran is merged."""
    for masked in (0, 1):
        for run in (0, 1):
            record = made(masked, 0, run)
            assert raise_for(record)
            assert state(record) == (1, 1, run)
            assert not raise_for(record)
            assert state(record) == (1, 1, run)


def test_the_softirq_by_its_three_questions() -> None:
    """RUN set already: put it back. SCHED that can be cleared, and work: assist. Else nothing."""
    for masked in (0, 1):
        for sched in (0, 1):
            record = made(masked, sched, 1)
            assert begin(record) == Dpci.RETRY
            assert state(record) == (masked, sched, 1), "the record waits as it was"
    table = {(1, 1): Dpci.ASSIST, (0, 1): Dpci.NOTHING, (1, 0): Dpci.NOTHING, (0, 0): Dpci.NOTHING}
    for (masked, sched), expected in table.items():
        record = made(masked, sched, 0)
        assert begin(record) == expected
        assert (record.sched, record.run) == (0, 1)
        assert record.masked == (1 if (masked, sched) == (1, 0) else 0), "work is looked at behind the list bit only"
        end(record)
        assert record.run == 0


def test_an_interrupt_during_the_assist_is_queued_anew() -> None:
    record = DpciRecord()
    raise_for(record)
    assert begin(record) == Dpci.ASSIST
    assert raise_for(record), "SCHED was cleared before the work was taken"
    end(record)
    assert begin(record) == Dpci.ASSIST


def test_begin_is_its_three_steps() -> None:
    for masked in (0, 1):
        for sched in (0, 1):
            for run in (0, 1):
                whole, parts = made(masked, sched, run), made(masked, sched, run)
                answer = begin(whole)
                if start_run(parts):
                    expected = Dpci.RETRY
                else:
                    expected = Dpci.ASSIST if leave_list(parts) and take_work(parts) else Dpci.NOTHING
                assert (answer, state(whole)) == (expected, state(parts))


def test_no_interleaving_of_an_interrupt_with_the_softirq_loses_work() -> None:
    """The interrupt comes before, between or after the steps; in the end its work was taken or waits on a list."""
    for place in range(4):
        record = made(1, 1, 0)
        steps = [start_run, leave_list, take_work]
        queued = False
        for n in range(4):
            if n == place:
                queued = raise_for(record)
            if n < 3:
                steps[n](record)
        end(record)
        assert not record.masked or queued, f"an interrupt at step {place} waits for nobody"


def test_turning_the_list_bit_and_the_work_round_forgets_an_interrupt() -> None:
    """Taking the work before leaving the list is the wrong order: some interleaving ends with work and no list."""
    lost = []
    for order in permutations((leave_list, take_work)):
        for place in range(3):
            record = made(1, 1, 0)
            queued = False
            for n in range(3):
                if n == place:
                    queued = raise_for(record)
                if n < 2:
                    order[n](record)
            if record.masked and not queued:
                lost.append(order)
    assert set(lost) == {(take_work, leave_list)}


class TwoPcpus(RuleBasedStateMachine):
    """Interrupts and softirqs on two pCPUs in any order: whatever arrived is assisted, once each time it is queued."""

    def __init__(self) -> None:
        super().__init__()
        self.record = DpciRecord()
        self.lists = [0, 0]
        self.busy = [False, False]
        self.waiting = False

    @rule(pcpu=st.integers(0, 1))
    def interrupt(self, pcpu: int) -> None:
        self.waiting = True
        if raise_for(self.record):
            self.lists[pcpu] += 1
        assert sum(self.lists) <= 1, "a record is on one list at most"

    @precondition(lambda self: any(self.lists))
    @rule(pcpu=st.integers(0, 1))
    def softirq(self, pcpu: int) -> None:
        if not self.lists[pcpu] or self.busy[pcpu]:
            return
        answer = begin(self.record)
        if answer == Dpci.RETRY:
            assert any(self.busy)
            return
        self.lists[pcpu] -= 1
        assert answer == Dpci.ASSIST, "a queued record that nobody has in hand has work"
        self.waiting = False
        self.busy[pcpu] = True

    @rule(pcpu=st.integers(0, 1))
    def done(self, pcpu: int) -> None:
        if self.busy[pcpu]:
            end(self.record)
            self.busy[pcpu] = False

    def teardown(self) -> None:
        """Let both pCPUs finish: then nothing waits."""
        for pcpu in (0, 1):
            self.done(pcpu)
        for pcpu in (0, 1):
            self.softirq(pcpu)
            self.done(pcpu)
        assert not self.waiting
        assert state(self.record) == (0, 0, 0)


TestTwoPcpus = TwoPcpus.TestCase
