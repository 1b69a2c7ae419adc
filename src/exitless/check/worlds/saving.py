"""A vCPU's state is saved, it runs on, and is taken back to what was saved, while a remapping unit posts for it.

What was posted until the save belongs to the state; what was posted between it and the return belongs to nobody.
"""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.kvm.posted_intr import clear_for_restore, merge_for_save
from exitless.arch.vmx.virtual_apic import Reg
from exitless.bits.words import ON_PAGE, highest_bit
from exitless.check.acts import Act
from exitless.check.property import Law, Sometimes
from exitless.check.world import Rule, World
from exitless.check.worlds.posting import HIGH, LOW, both, put_bit
from exitless.check.worlds.small import Small

PHASE: Final = 0
IMAGE_REQUESTED: Final = 1
IMAGE_IN_SERVICE: Final = 2
IMAGE_OWED: Final = 3


class Saving(Small):
    """Phase 0 is before the save, 1 after it, 2 after the return; the image is two bits a register.

    Mutations: ``pir-not-merged`` saves without PIR, ``pid-not-cleared`` returns with what PIR holds,
    ``svi-not-restored`` writes VISR and leaves SVI 0.
    """

    def __init__(self, mutation: str) -> None:
        super().__init__(
            "save-and-restore", mutation, HIGH, ["phase", "saved VIRR", "saved VISR", "saved requests"],
            vec[i64]([2, 2, 2, 2]),
        )  # fmt: skip
        self.agents = ["hypervisor", "VT-d", "notification", "the guest"]
        self.laws = [Law.DELIVERED_TWICE, Law.REQUEST_VANISHED, Law.STATUS_LAGS, Law.DELAYED, Law.ENDLESS]
        self.wanted = Sometimes.DELIVERED | Sometimes.PROCESSED_IN_GUEST | Sometimes.RETURNED

    def reset(self) -> None:
        """The guest runs, nothing is posted or saved."""
        self.load(0)
        self.posts_left = 2

    def word(self, register: i64) -> i64:
        """Return the two vectors' bits of a register of the page."""
        return both(self.target.vapic.page[register + 4 * (LOW >> 5)])

    def move(self, agent: i64) -> i64:
        """Let an agent take its next step."""
        self.happened = 0
        if agent == 1:
            return self.hardware_post()
        if agent == 2:
            return self.notification_arrives()
        if agent == 3:
            return self.guest_step()
        if self.root != 0:
            self.sync()
            self.enter()
            return Act.PASS
        if self.x[PHASE] == 0:
            return self.save()
        return self.restore() if self.x[PHASE] == 1 else Rule.NONE

    def save(self) -> i64:
        """The vCPU exits and its state is written down."""
        self.leave()
        if self.mutation != "pir-not-merged":
            merge_for_save(self.target.pid, self.target.vapic)
            self.requests_taken()
        self.x[PHASE] = 1
        self.x[IMAGE_REQUESTED] = self.word(Reg.VIRR)
        self.x[IMAGE_IN_SERVICE] = self.word(Reg.VISR)
        self.x[IMAGE_OWED] = self.waiting | self.taken
        return Act.SAVE

    def restore(self) -> i64:
        """The vCPU exits and gets the saved state, and with it the handlers that ran then."""
        self.leave()
        if self.mutation != "pid-not-cleared":
            clear_for_restore(self.target.pid)
        put_bit(self.target, Reg.VIRR, LOW, self.x[IMAGE_REQUESTED] & 1)
        put_bit(self.target, Reg.VIRR, HIGH, self.x[IMAGE_REQUESTED] & 2)
        put_bit(self.target, Reg.VISR, LOW, self.x[IMAGE_IN_SERVICE] & 1)
        put_bit(self.target, Reg.VISR, HIGH, self.x[IMAGE_IN_SERVICE] & 2)
        self.target.vapic.svi = 0
        if self.mutation != "svi-not-restored":
            self.target.vapic.svi = highest_bit(self.target.vapic.page, Reg.VISR, ON_PAGE)
        self.serving = self.x[IMAGE_IN_SERVICE]
        self.waiting = 0
        self.taken = self.x[IMAGE_OWED]
        self.x[PHASE] = 2
        self.x[IMAGE_REQUESTED] = 0
        self.x[IMAGE_IN_SERVICE] = 0
        self.x[IMAGE_OWED] = 0
        self.happened = Sometimes.RETURNED
        return Act.RESTORE

    def is_free(self, agent: i64) -> bool:
        """Nobody need post, save or restore."""
        return agent == 1 or (agent == 0 and self.root == 0)


def save_and_restore(mutation: str) -> World:
    """Return the world of a vCPU that goes back to what it was."""
    return Saving(mutation)
