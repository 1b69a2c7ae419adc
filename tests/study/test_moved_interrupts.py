"""What is counted and told of interrupts that move from one pCPU's vector to another's."""

from exitless.study.journeys import of_source
from exitless.study.tally import Tally
from exitless.study.ways import Step
from exitless.view.words import words
from exitless.vocab.kinds import Kind
from tests.sim.quiet import MS
from tests.sim.test_moving import ran


def test_what_is_told_of_an_interrupt_follows_it_to_its_new_vector() -> None:
    """The way of an interrupt after a move has its translation, its acceptance and do_IRQ under the new vector, and the
    words for the move name the source and both places."""
    built, rows = ran("irq-affinity", "apicv", 12 * MS)
    number = built.header.sources.index("nic.0")
    move = next(e for e in rows if e.kind == Kind.VECTOR_ASSIGN and e.b == number)
    ways = [way for way in of_source(rows, built.header, number) if way.steps[0].time > move.time_ps]
    assert len(ways) > 10
    for way in ways[1:-1]:
        seen = {step.kind: step for step in way.steps}
        assert seen[Kind.MSI_ROUTE].b == seen[Kind.LAPIC_ACCEPT].a == seen[Kind.HOST_IRQ].a == move.a
        assert seen[Kind.HOST_IRQ].pcpu == move.pcpu
    said = words(built.header, Step(*move))
    assert said[:2] == ("nic.0 moves", f"host vector 0x{move.a:02x}, pCPU{move.pcpu}")


def test_an_exit_is_of_the_source_whose_vector_it_is_on_that_pcpu() -> None:
    """The same number belongs to different interrupts on different pCPUs, and goes from one to the other."""
    tally = Tally(2, 2, 3, [-1, -1, -1], [0x48, 0x48, -1], [0, 1, 1], [0, 1, -1])
    assert (tally.source_of_vector(0, 0x48), tally.source_of_vector(1, 0x48), tally.source_of_vector(1, 0x50)) == (
        0,
        1,
        3,
    )
    tally.one(1, Kind.VECTOR_ASSIGN, 1, 0, 0x50, 0)
    assert (tally.source_of_vector(1, 0x50), tally.source_of_vector(0, 0x48), tally.targets[0]) == (0, 0, 1)
    tally.one(2, Kind.VECTOR_FREE, 0, -1, 0x48, 0)
    assert (tally.source_of_vector(0, 0x48), tally.source_of_vector(1, 0x48)) == (3, 1)
    unknown = Tally(2, 2, 2, [-1, -1], [0x48, 0x48], [0, 1], [-1, -1])
    assert unknown.source_of_vector(1, 0x48) == 0, "where it is not told whose it is, the first has it"
