"""EVENTINJ's legal values, and when the virtual interrupt of V_IRQ is taken."""

from itertools import product

from exitless.arch.svm.access import msr_door
from exitless.arch.svm.evaluate import Avic
from exitless.arch.svm.injection import VirtualInterrupt, check_injection, vintr_exit_code, virtual_interrupt
from exitless.arch.svm.ipi import software_sends
from exitless.arch.svm.tables import Backing
from exitless.arch.svm.vmcb import Incomplete, SvmExit, Vmcb


def test_which_events_vmrun_refuses() -> None:
    """15.20: types 1, 5, 6, 7 are reserved; an exception must be one, and 2 is not."""
    for vector, kind, valid in product(range(256), range(8), (0, 1)):
        legal = kind in (0, 2, 4) or (kind == 3 and vector < 32 and vector != 2)
        answer = check_injection(valid << 31 | kind << 8 | vector)
        assert answer == (SvmExit.NONE if legal or not valid else SvmExit.INVALID)


def test_a_virtual_interrupt_needs_priority_flags_and_no_shadow() -> None:
    """15.21.4: priority above V_TPR or V_IGN_TPR, IF and GIF 1, no shadow; V_IRQ is cleared when it is taken."""
    for priority, tpr, ignores, flags in product(range(16), range(16), (0, 1), product((0, 1), repeat=3)):
        vmcb = Vmcb()
        vmcb.avic, vmcb.v_irq, vmcb.v_intr_prio, vmcb.v_tpr, vmcb.v_ign_tpr = 0, 1, priority, tpr, ignores
        interrupt_flag, gif, vmcb.shadow = flags
        able = bool(interrupt_flag and gif and not vmcb.shadow and (ignores or priority > tpr))
        exits = VirtualInterrupt.EXIT if able else VirtualInterrupt.NOTHING
        assert virtual_interrupt(vmcb, interrupt_flag, gif, True) == exits
        assert vmcb.v_irq == 1, "15.21.6: the intercept comes before it is taken"
        taken = VirtualInterrupt.TAKEN if able else VirtualInterrupt.NOTHING
        assert virtual_interrupt(vmcb, interrupt_flag, gif, False) == taken
        assert vmcb.v_irq == int(not able)


def test_avic_ignores_v_irq() -> None:
    """15.29.4: with AVIC V_IRQ and its companions are ignored."""
    vmcb = Vmcb()
    vmcb.v_irq, vmcb.v_intr_prio = 1, 15
    assert virtual_interrupt(vmcb, 1, 1, False) == VirtualInterrupt.NOTHING


def test_the_code_of_the_intercept_is_a_choice() -> None:
    """64H is from memory."""
    vmcb = Vmcb()
    assert vintr_exit_code(vmcb) == SvmExit.VINTR == 0x64
    vmcb.choices.svm_vintr_exit_code = 0x65
    assert vintr_exit_code(vmcb) == 0x65


def test_the_msr_permission_map_comes_first() -> None:
    """15.29.10: an intercepted MSR exits with 7CH before AVIC looks at it; so does any in xAVIC."""
    avic = Avic(0, Backing())
    assert msr_door(avic, 0x830, False) == SvmExit.MSR == 0x7C
    avic.vmcb.x2avic = 1
    assert msr_door(avic, 0x830, True) == SvmExit.MSR
    assert [msr_door(avic, 0x800 + row, False) for row in range(1024)] == [row * 16 for row in range(1024)]


def test_who_does_the_ipi_after_an_incomplete_one() -> None:
    """15.29.9 and KVM's avic.c: reasons 0 and 2 leave it to software; after 1 the bits are set already."""
    reasons = (
        Incomplete.INVALID_TYPE, Incomplete.NOT_RUNNING, Incomplete.INVALID_TARGET, Incomplete.INVALID_BACKING,
        Incomplete.INVALID_VECTOR,
    )  # fmt: skip
    assert [software_sends(reason) for reason in reasons] == [True, False, True, False, False]
