"""The compiled and the interpreted form are one program: same draws, same order, same records, row by row."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import exitless
from tests.parity import work
from tests.parity.interpreted import in_interpreted_form

needs_compiled = pytest.mark.skipif(
    not exitless.compiled(), reason="these tests run interpreted; make test compares the two forms in its compiled run"
)


@needs_compiled
@pytest.mark.parametrize("seed", [0, 1, 7, 4294967295])
def test_streams_draw_the_same_numbers(seed: int) -> None:
    assert work.draws(seed, 3, 500) == in_interpreted_form("work", "draws", seed, 3, 500)


@needs_compiled
def test_mixing_agrees_at_the_edges_of_a_word() -> None:
    values = [0, 1, 2, 65535, 65536, 2147483647, 2147483648, 4294967294, 4294967295]
    assert work.mixed(values) == in_interpreted_form("work", "mixed", values)


@needs_compiled
def test_every_bit_of_a_256_bit_register_agrees() -> None:
    """Bit 31 of each word is where a 32-bit shift would go wrong."""
    order = [bit * 37 % 256 for bit in range(256)]
    assert work.registers(order) == in_interpreted_form("work", "registers", order)


@needs_compiled
def test_calendars_agree_on_a_long_mixed_load() -> None:
    load = [[value % 50, value % 65536, value % 7, value % 1073741824] for value in work.mixed(list(range(1, 1500)))]
    load = [[-1, 0, 0, 0] if entry[1] % 3 == 0 else entry for entry in load]
    assert work.shuffled(load) == in_interpreted_form("work", "shuffled", load)


@given(st.integers(0, 2**32 - 1), st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_a_stream_is_a_function_of_seed_and_number(seed: int, stream: int) -> None:
    first = work.draws(seed, stream, 20)
    assert first == work.draws(seed, stream, 20)
    assert first != work.draws(seed, stream + 1, 20)
