"""No law fires on a recording of a host that worked."""

import pytest

from exitless.judge.judge import judge
from exitless.traces.reader import open_reader
from shared import shared

HEALTHY = (
    "kvm-kut-vmexit-ipi/trace.dat.xz", "kvm-kut-vmexit-ipi/trace.txt.xz", "kvm-linux-2cpu/trace.dat.xz",
    "kvm-linux-2cpu/trace.txt.xz", "kvm-linux-2cpu/perf-script.txt.xz", "kvm-linux-2cpu/perf.data.guest.xz",
    "kvm-tiny-1cpu-x2apic/trace.dat.xz", "kvm-tiny-1cpu-x2apic/trace.txt.xz", "kvm-tiny-2cpu-xapic/trace.dat.xz",
    "kvm-tiny-2cpu-xapic/trace.txt.xz", "kvm-tiny-2cpu-xapic/perf-script.txt.xz", "kvm-pvm/pvm_1vcpu.tsc.trace.txt",
    "kvm-pvm/pvm_1vcpu.tsc.v6.dat", "kvm-pvm/pvm_2vcpu.lost.v6.dat", "kvm-pvm/pvm_2vcpu.mono.report.txt",
    "kvm-pvm/pvm_2vcpu.mono.v6.dat", "kvm-pvm/pvm_2vcpu.perf-script.txt", "kvm-pvm/pvm_2vcpu.perf.data",
    "kvm-pvm/pvm_2vcpu.tsc.trace.txt", "xen-hvm-nopv2-load/xentrace.bin.xz", "xen-pvh1/xentrace.bin.xz",
    "xen-pvh2/xentrace.bin.xz", "xen-vmx-hvm/xentrace.bin", "host-irq/own_irq.mono.v6.dat",
    "arm-v6/arm_sched.trappy_raw_trace.v6.dat",
)  # fmt: skip


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_recording_is_explained(name: str) -> None:
    with open_reader(str(shared(f"data/traces/{name}"))) as reader:
        case = judge(reader.rows(), threads=not reader.format.startswith("xentrace"))
    assert not [(f.row, f.law.name, f.says) for f in case.findings]
    assert case.events > 0
