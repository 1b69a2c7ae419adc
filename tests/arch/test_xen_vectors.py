"""Vectors for interrupts on pCPUs: the search, what is never handed out, and moving an interrupt lazily."""

from exitless.arch.x86.host_vectors import HostVector
from exitless.arch.xen import vectors
from exitless.arch.xen.ports import Errno
from exitless.arch.xen.vectors import FREE, Arrived, Cleaned, HostIrq, VectorTable
from exitless.version import compiled

NEVER = {0x20, 0x21, 0x22, 0x30, 0x80, 0x82}


def fill(table: VectorTable, mask: int, count: int) -> list[HostIrq]:
    """Assign ``count`` interrupts one after the other."""
    irqs = [HostIrq(n) for n in range(count)]
    for irq in irqs:
        assert vectors.assign_vector(table, irq, mask) == 0
    return irqs


def test_the_first_vectors_go_up_in_steps_of_eight() -> None:
    """The cursor starts at 20H; 28H and 30H are passed over on pCPU 0, where 20H to 2FH are the 8259's."""
    got = [irq.vector for irq in fill(VectorTable(2), 1, 8)]
    assert got == [0x38, 0x40, 0x48, 0x50, 0x58, 0x60, 0x68, 0x70]
    assert [irq.vector for irq in fill(VectorTable(2), 2, 2)] == [0x28, 0x38]


def test_a_pass_puts_at_most_two_vectors_into_a_priority_class() -> None:
    got = [irq.vector for irq in fill(VectorTable(2), 2, 24)]
    assert max(sum(vector >> 4 == c for vector in got) for c in range(16)) == 2
    assert len(set(got)) == 24


def test_after_the_last_vector_the_next_offset_begins() -> None:
    """EFH is the last: after E8H the search goes on at 21H, and 29H is the first that it may have."""
    got = [irq.vector for irq in fill(VectorTable(2), 2, 25)]
    assert got[22:] == [0xE8, 0x29, 0x31]


def test_every_vector_but_the_reserved_ones_is_handed_out_and_then_there_is_no_space() -> None:
    """On pCPU 1 all of 20H to EFH but six; on pCPU 0 those of the 8259 are missing as well; the cursor's own stays."""
    for pcpu, missing in ((1, NEVER), (0, NEVER | set(range(0x20, 0x30)))):
        table = VectorTable(2)
        room = set(range(0x20, 0xF0)) - missing
        got = {irq.vector for irq in fill(table, 1 << pcpu, len(room))}
        assert got == room
        assert vectors.assign_vector(table, HostIrq(999), 1 << pcpu) == -Errno.NO_SPACE
        assert vectors.assign_vector(table, HostIrq(999), 3) == 0, "the other pCPU has room"


def test_reserved_are_the_six_and_all_outside_the_dynamic_range() -> None:
    assert {v for v in range(0x20, 0xF0) if vectors.is_reserved(v)} == NEVER
    assert all(vectors.is_reserved(v) for v in [*range(0x20), *range(0xF0, 0x100)])
    for high in (HostVector.POSTED_NOTIFICATION, HostVector.POSTED_WAKEUP, HostVector.EVENT_CHECK, HostVector.TIMER):
        assert high >> 4 > 0xEF >> 4, "Xen's own vectors are of a higher class than any device's"


def test_the_same_number_serves_different_interrupts_on_different_pcpus() -> None:
    table = VectorTable(2)
    first, second = HostIrq(1), HostIrq(2)
    vectors.assign_vector(table, first, 1)
    table.cursor = 0x30
    vectors.assign_vector(table, second, 2)
    assert (first.vector, second.vector) == (0x38, 0x38)
    assert (vectors.owner_of(table, 0, 0x38), vectors.owner_of(table, 1, 0x38)) == (1, 2)


def test_a_vector_used_everywhere_is_passed_over() -> None:
    table = VectorTable(1)
    table.shared[0x38 >> 5] = 1 << (0x38 & 31)
    assert fill(table, 1, 1)[0].vector == 0x40


def test_the_first_pcpu_of_the_mask_with_room_gets_it_alone() -> None:
    table = VectorTable(4)
    irq = HostIrq(7)
    assert vectors.assign_vector(table, irq, 0b1100) == 0
    assert irq.pcpu == 2
    assert sum(owner == 7 for owner in table.owner) == 1


def test_pcpus_that_are_offline_are_no_choice() -> None:
    table = VectorTable(2)
    table.online = 1
    assert vectors.assign_vector(table, HostIrq(1), 2) == -Errno.NO_SPACE


def test_it_stays_where_it_is_when_that_is_allowed() -> None:
    table = VectorTable(2)
    irq = HostIrq(1)
    vectors.assign_vector(table, irq, 2)
    before = (irq.vector, irq.pcpu, table.cursor)
    assert vectors.assign_vector(table, irq, 3) == 0
    assert (irq.vector, irq.pcpu, table.cursor) == before


def moved() -> tuple[VectorTable, HostIrq, int]:
    """Return an interrupt that has been told to move from pCPU 0 to pCPU 1 and has occurred once since."""
    table = VectorTable(2)
    irq = HostIrq(1)
    vectors.assign_vector(table, irq, 1)
    old = irq.vector
    vectors.want(irq, 2)
    assert (irq.pcpu, irq.moving) == (0, 0), "asking changes nothing yet"
    assert vectors.acknowledge(table, irq) == 0
    return table, irq, old


def test_a_move_happens_at_the_next_occurrence_on_the_old_pcpu() -> None:
    table, irq, old = moved()
    assert (irq.pcpu, irq.old_pcpu, irq.old_vector, irq.moving) == (1, 0, old, 1)
    assert vectors.owner_of(table, 0, old) == 1, "the old vector stays reserved"
    assert vectors.acknowledge(table, irq) == 0 and irq.moving == 1, "asked once, done once"


def test_the_first_interrupt_at_the_new_place_ends_the_move_and_the_clean_up_frees_the_old_vector() -> None:
    table, irq, old = moved()
    assert vectors.arrive(irq, 0, old) == Arrived.STILL_OLD
    assert vectors.arrive(irq, 1, irq.vector) == Arrived.CLEAN_UP
    assert vectors.arrive(irq, 1, irq.vector) == Arrived.SETTLED
    assert vectors.clean_up(table, irq, 1, 0) == Cleaned.NOTHING, "only on the old pCPU"
    assert vectors.clean_up(table, irq, 0, 1) == Cleaned.AGAIN, "the old vector waits in IRR"
    assert vectors.owner_of(table, 0, old) == 1
    assert vectors.clean_up(table, irq, 0, 0) == Cleaned.FREED
    assert vectors.owner_of(table, 0, old) == FREE
    assert vectors.clean_up(table, irq, 0, 0) == Cleaned.NOTHING


def test_no_second_move_before_the_first_has_been_cleaned_up() -> None:
    """Try again, while the move is under way and while an old pCPU has yet to clean up."""
    table, irq, _ = moved()
    assert vectors.assign_vector(table, irq, 1) == -Errno.TRY_AGAIN
    vectors.arrive(irq, 1, irq.vector)
    assert vectors.assign_vector(table, irq, 1) == -Errno.TRY_AGAIN
    vectors.clean_up(table, irq, 0, 0)
    assert vectors.assign_vector(table, irq, 1) == 0 and irq.pcpu == 0


def test_an_old_pcpu_that_is_gone_is_released_at_once() -> None:
    table = VectorTable(2)
    irq = HostIrq(1)
    vectors.assign_vector(table, irq, 1)
    old = irq.vector
    table.online = 2
    assert vectors.assign_vector(table, irq, 2) == 0
    assert (irq.moving, vectors.owner_of(table, 0, old)) == (0, FREE)


def test_giving_up_an_interrupt_frees_both_its_vectors() -> None:
    table, irq, _ = moved()
    vectors.clear_vector(table, irq)
    assert all(owner == FREE for owner in table.owner)
    assert (irq.vector, irq.pcpu, irq.moving) == (0, -1, 0)


def test_a_host_of_64_pcpus_has_them_all_online() -> None:
    """The last one's bit is the sign bit of a word."""
    table = VectorTable(64)
    irq = HostIrq(1)
    assert vectors.assign_vector(table, irq, 1 << 63 if not compiled() else -(1 << 63)) == 0
    assert irq.pcpu == 63
    assert all((table.online >> pcpu) & 1 for pcpu in range(64))


# ---- a pCPU goes offline ----


def gone(table: VectorTable, pcpu: int) -> None:
    table.online = table.online & ~(1 << pcpu)


def owned(table: VectorTable) -> dict[tuple[int, int], int]:
    """Return whose every vector is that is somebody's."""
    return {divmod(at, 256): int(irq) for at, irq in enumerate(table.owner) if irq != FREE}


def test_an_interrupt_leaves_a_pcpu_that_goes_offline_and_its_old_vector_is_to_be_looked_for() -> None:
    """Its affinity names nobody online, so any pCPU will do, the first; nothing is to be cleaned up on a dead pCPU."""
    table, irq = VectorTable(3), HostIrq(7)
    vectors.assign_vector(table, irq, 4)
    old = irq.vector
    gone(table, 2)
    assert vectors.fix_up(table, irq, 2, 4) == old
    assert (irq.pcpu, irq.moving, irq.cleanups, irq.old_vector, irq.old_pcpu) == (0, 0, 0, 0, -1)
    assert owned(table) == {(0, irq.vector): 7}


def test_affinity_is_kept_where_it_can_be() -> None:
    table, irq = VectorTable(3), HostIrq(7)
    vectors.assign_vector(table, irq, 4)
    gone(table, 2)
    vectors.fix_up(table, irq, 2, 0b110)
    assert irq.pcpu == 1


def test_what_comes_in_elsewhere_stays_there() -> None:
    table, irq = VectorTable(3), HostIrq(7)
    vectors.assign_vector(table, irq, 2)
    before = owned(table)
    gone(table, 2)
    assert vectors.fix_up(table, irq, 2, 2) == 0
    assert owned(table) == before and irq.pcpu == 1
    assert vectors.fix_up(table, HostIrq(8), 2, 2) == 0, "one without a vector has nothing to move"


def test_a_move_away_from_the_dying_pcpu_is_over_with_it() -> None:
    """The new place has taken nothing yet: what waits at the old one is forwarded; it stays where it was going."""
    table, irq, old = moved()
    gone(table, 0)
    assert vectors.fix_up(table, irq, 0, 2) == old
    assert (irq.pcpu, irq.moving, irq.old_pcpu) == (1, 0, -1)
    assert owned(table) == {(1, irq.vector): 1}
    assert vectors.arrive(irq, 1, irq.vector) == Arrived.SETTLED


def test_a_clean_up_on_the_dying_pcpu_is_done_by_its_death() -> None:
    """The new place has taken one, so nothing waits at the old one."""
    table, irq, _ = moved()
    vectors.arrive(irq, 1, irq.vector)
    gone(table, 0)
    assert vectors.fix_up(table, irq, 0, 2) == 0
    assert (irq.pcpu, irq.cleanups, irq.old_pcpu) == (1, 0, -1)
    assert owned(table) == {(1, irq.vector): 1}


def test_a_move_to_the_dying_pcpu_goes_back_where_that_is_allowed() -> None:
    for taken in (0, 1):
        table, irq, old = moved()
        new = irq.vector
        if taken:
            vectors.arrive(irq, 1, new)
        gone(table, 1)
        assert vectors.fix_up(table, irq, 1, 2) == new
        assert (irq.pcpu, irq.vector, irq.moving, irq.cleanups) == (0, old, 0, 0)
        assert (irq.old_pcpu, irq.old_vector) == (-1, 0)
        assert owned(table) == {(0, old): 1}


def test_a_move_to_the_dying_pcpu_goes_on_to_a_third_where_its_old_place_is_not_allowed() -> None:
    """The old vector is still to be cleaned up, as it was."""
    for taken in (0, 1):
        table, irq = VectorTable(3), HostIrq(1)
        vectors.assign_vector(table, irq, 1)
        old = irq.vector
        vectors.want(irq, 2)
        vectors.acknowledge(table, irq)
        new = irq.vector
        if taken:
            vectors.arrive(irq, 1, new)
        gone(table, 1)
        assert vectors.fix_up(table, irq, 1, 0b110) == new
        assert (irq.pcpu, irq.moving, irq.cleanups, irq.old_pcpu, irq.old_vector) == (2, 1 - taken, taken, 0, old)
        assert owned(table) == {(0, old): 1, (2, irq.vector): 1}
        assert taken or vectors.arrive(irq, 2, irq.vector) == Arrived.CLEAN_UP
        assert vectors.clean_up(table, irq, 0, 0) == Cleaned.FREED


def test_going_back_asks_for_the_old_pcpu_and_no_other() -> None:
    """With three pCPUs, from each to each that dies: back where the mask has the old one, else on to the third."""
    for old in range(3):
        for new in range(3):
            for mask in range(1, 8):
                third = 3 - old - new
                if new == old or mask & ~(1 << new) == 0:
                    continue
                table, irq = VectorTable(3), HostIrq(1)
                vectors.assign_vector(table, irq, 1 << old)
                vectors.want(irq, 1 << new)
                vectors.acknowledge(table, irq)
                gone(table, new)
                assert vectors.assign_vector(table, irq, mask) == 0
                assert irq.pcpu == (old if mask >> old & 1 else third)


def test_going_back_is_a_choice_that_succeeds() -> None:
    table, irq, old = moved()
    gone(table, 1)
    assert vectors.assign_vector(table, irq, 1) == 0 and (irq.pcpu, irq.vector) == (0, old)


def test_a_move_to_an_online_pcpu_is_not_overtaken_by_another() -> None:
    table, irq, _ = moved()
    assert vectors.assign_vector(table, irq, 1) == -Errno.TRY_AGAIN and irq.pcpu == 1
