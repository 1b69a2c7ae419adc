"""Xen posts a vector whose EOI must exit: the pCPU is made to enter once more before anything is delivered."""

import pytest

from exitless.arch.vmx.posted import has_posted
from exitless.mech.procedures.post import Post, xen_post, xen_post_with_bitmap
from exitless.mech.procedures.procedure import Surroundings
from exitless.mech.vcpu import VirtualCpu


class Machine(Surroundings):
    """Writes down what is sent and kicked."""

    def __init__(self) -> None:
        super().__init__()
        self.notification_vector = 0xF4
        self.told: list[tuple[str, int]] = []

    def send(self, pcpu: int, vector: int) -> None:
        """A message."""
        self.told.append((f"{vector:#x}", pcpu))

    def kick(self, pcpu: int) -> None:
        """A kick."""
        self.told.append(("kick", pcpu))

    def unblock(self, vcpu: VirtualCpu) -> None:
        """Runnable."""
        vcpu.blocked = 0


@pytest.mark.parametrize("sn", [0, 1])
@pytest.mark.parametrize("on", [0, 1])
@pytest.mark.parametrize("runs_on", [-1, 3])
@pytest.mark.parametrize("bitmap", [False, True])
def test_how_a_post_tells(bitmap: bool, runs_on: int, on: int, sn: int) -> None:
    """P15, vmx_deliver_posted_intr: a changed bitmap sets ON and kicks; otherwise SN or ON kicks, a claim notifies."""
    machine, vcpu = Machine(), VirtualCpu(0)
    vcpu.running_on, vcpu.blocked = runs_on, int(runs_on < 0)
    vcpu.pid.on, vcpu.pid.sn = on, sn
    Post(vcpu, 0x41, xen_post_with_bitmap() if bitmap else xen_post()).run(machine)
    assert has_posted(vcpu.pid) and vcpu.blocked == 0
    assert vcpu.pid.on == int(bitmap or on or not sn)
    notifies = not bitmap and not on and not sn
    assert machine.told == ([] if runs_on < 0 else [("0xf4" if notifies else "kick", 3)])


def test_a_vector_that_is_posted_already_tells_nobody() -> None:
    """Step 1: somebody else has told or will."""
    machine, vcpu = Machine(), VirtualCpu(0)
    vcpu.running_on = 3
    post = Post(vcpu, 0x41, xen_post_with_bitmap())
    post.run(machine)
    machine.told.clear()
    post.run(machine)
    assert machine.told == []
