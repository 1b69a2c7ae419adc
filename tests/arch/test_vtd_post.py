"""Posting by the remapping unit: one atomic update of the descriptor. VT-d 5.2.3."""

from itertools import product

import pytest

from exitless.arch.vmx.posted import PostedDescriptor, claim_notification, clear_outstanding, set_pir
from exitless.arch.vtd.post import Posted, post
from tests.naive import both

# ON, SN, URG: is a notification sent (X = ON=0 and (URG=1 or SN=0)), and what is ON afterwards?
TABLE = {
    (0, 0, 0): (True, 1), (0, 0, 1): (True, 1), (0, 1, 0): (False, 0), (0, 1, 1): (True, 1),
    (1, 0, 0): (False, 1), (1, 0, 1): (False, 1), (1, 1, 0): (False, 1), (1, 1, 1): (False, 1),
}  # fmt: skip


def descriptor(on: int, sn: int) -> PostedDescriptor:
    pid = PostedDescriptor()
    pid.on, pid.sn, pid.nv, pid.ndst = on, sn, 0xF4, 3
    return pid


@pytest.mark.parametrize("state", TABLE)
def test_notification_by_on_sn_and_urg_for_every_vector(state: tuple[int, int, int]) -> None:
    """PIR[VV] is set always; ON is set, and a notification sent, exactly when ON=0 and (URG=1 or SN=0)."""
    on, sn, urgent = state
    notify, on_after = TABLE[state]
    for vector in range(256):
        pid = descriptor(on, sn)
        answer = post(pid, vector, urgent)
        assert both.packed(pid.pir) == 1 << vector
        assert (answer & Posted.NOTIFY != 0) == notify
        assert (pid.on, pid.sn, pid.nv, pid.ndst) == (on_after, sn, 0xF4, 3), "SN, NV and NDST are only read"
        assert answer & Posted.ALREADY == 0


@pytest.mark.parametrize("state", TABLE)
def test_an_old_pir_bit_changes_nothing_of_the_notification(state: tuple[int, int, int]) -> None:
    """The remapping unit tests ON, not the old PIR bit: unlike a processor it notifies again for one that waits."""
    on, sn, urgent = state
    for vector in range(256):
        pid = descriptor(on, sn)
        set_pir(pid, vector)
        answer = post(pid, vector, urgent)
        assert answer & Posted.ALREADY
        assert (answer & Posted.NOTIFY != 0) == TABLE[state][0]
        assert pid.on == TABLE[state][1]


def test_the_answer_says_why_nothing_was_sent() -> None:
    """ON that stands is one reason, SN that holds a non-urgent one back the other."""
    for on, sn, urgent in product((0, 1), repeat=3):
        answer = post(descriptor(on, sn), 0x41, urgent)
        assert (answer & Posted.OUTSTANDING != 0) == (on == 1)
        assert (answer & Posted.SUPPRESSED != 0) == (on == 0 and sn == 1 and urgent == 0)


def test_the_trap_of_a_vector_that_waits_with_on_clear() -> None:
    """PIR[v]=1, ON=0, SN=0 and nobody looking: a second software post of v stays silent, a hardware post gets out."""
    for vector in range(256):
        pid = descriptor(0, 1)
        post(pid, vector, 0)
        pid.sn = 0
        assert set_pir(pid, vector), "the sender stops here: the bit was set"
        assert pid.on == 0
        assert post(pid, vector, 0) & Posted.NOTIFY
        clear_outstanding(pid)
        assert not set_pir(pid, vector ^ 1)
        assert claim_notification(pid), "another vector gets out too"


def test_other_vectors_stay_posted() -> None:
    pid = descriptor(0, 0)
    for count, vector in enumerate(range(256), 1):
        post(pid, vector, 0)
        assert both.packed(pid.pir) == (1 << count) - 1
