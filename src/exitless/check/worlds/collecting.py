"""The two smallest worlds: posts on one side, their processing on the other, in the right and in the wrong order.

The guest runs with interrupts disabled throughout, so that nothing happens but PIR moving into VIRR.
"""

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.vmx.posted import claim_notification, has_posted, set_pir
from exitless.check.property import Law, Sometimes
from exitless.check.world import Rule, World
from exitless.check.worlds.posting import HIGH, LOW, NOTIFICATION, Posting, place_of, vector_at
from exitless.mech.procedures.procedure import Verb
from exitless.mech.procedures.process import Process, process_posted
from exitless.vocab.kinds import Kind


class Collecting(Posting):
    """A remapping unit posts twice; the processor takes what was posted whenever the notification arrives.

    Mutations: ``pir-after-on`` splits the unit's one step in two, ON with its message first and the PIR bit second;
    ``scan-before-clear`` lets the processor take PIR before it clears ON.
    """

    def __init__(self, name: str, mutation: str, second: i64) -> None:
        super().__init__(name, mutation, LOW, second)
        self.agents = ["VT-d", "pCPU 0", "notification"]
        self.laws = [Law.REQUEST_VANISHED, Law.LEFT_BEHIND, Law.ENDLESS]
        self.wanted = Sometimes.PROCESSED_IN_GUEST
        if second == LOW:
            self.wanted = self.wanted | Sometimes.MERGED
        program: vec[i64] = process_posted()
        if mutation == "scan-before-clear":
            program = vec[i64]([Verb.TAKE_PIR, Verb.CLEAR_ON, Verb.RAISE_RVI])
        self.process: Process = Process(self.target, program)
        self.claimed_first: i64 = 0
        self.splits: bool = mutation == "pir-after-on"

    def reset(self) -> None:
        """Nothing is posted, the guest runs."""
        self.load(0)
        self.posts_left = 2
        self.process.finish()

    def key(self) -> i64:
        """Return the whole state as one number."""
        self.packed.start(0)
        self.put_posting()
        self.packed.put(self.claimed_first, 1)
        self.packed.put(self.process.at, 2)
        self.packed.put(place_of(self.process.top), 2)
        return self.packed.word

    def load(self, key: i64) -> None:
        """Become the state with this number."""
        self.packed.start(key)
        self.get_posting()
        self.claimed_first = self.packed.get(1)
        self.process.at = self.packed.get(2)
        self.process.top = vector_at(self.packed.get(2))
        self.target.running_on = 0

    def move(self, agent: i64) -> i64:
        """Let an agent take its next step."""
        self.happened = 0
        if agent == 0:
            return self.split_post() if self.splits else self.hardware_post()
        if agent == 1:
            if self.process.is_idle():
                return Rule.NONE
        else:
            if self.notifications == 0 or not self.process.is_idle():
                return Rule.NONE
            self.notifications -= 1
            self.process.begin()
        return self.process_step(agent)

    def process_step(self, agent: i64) -> i64:
        """The processor takes one step of posted-interrupt processing; the arrival includes the first."""
        verb: i64 = self.process.verb()
        had: bool = has_posted(self.target.pid)
        self.process.step(self)
        if verb == Verb.TAKE_PIR and had:
            self.happened = Sometimes.PROCESSED_IN_GUEST
        if verb == Verb.TAKE_PIR:
            self.requests_taken()
        if self.process.is_idle():
            self.process.top = 0
        if agent == 2:
            return Rule.NOTIFY_IN_GUEST
        return verb

    def split_post(self) -> i64:
        """The wrong way: ON and the message first, the PIR bit in a step of its own."""
        if self.posts_left == 0:
            return Rule.NONE
        vector: i64 = self.second
        if self.posts_left == 2:
            vector = self.first
        self.a = vector
        if self.claimed_first == 0:
            self.claimed_first = 1
            self.b = 8
            if claim_notification(self.target.pid):
                self.b = 1
                self.send(self.target.pid.ndst, self.target.pid.nv)
            return Verb.CLAIM_ON
        self.claimed_first = 0
        self.posts_left -= 1
        self.b = 0
        if set_pir(self.target.pid, vector):
            self.b = 1
            self.happened = Sometimes.MERGED
        self.request_accepted(vector)
        return Verb.SET_PIR

    def broken(self) -> i64:
        """No request may vanish."""
        if self.has_vanished():
            return Law.REQUEST_VANISHED
        return Law.NONE

    def left_undone(self) -> i64:
        """Everything posted must have been taken."""
        if has_posted(self.target.pid):
            return Law.LEFT_BEHIND
        return Law.NONE

    def is_free(self, agent: i64) -> bool:
        """The unit need not begin a post; what it has begun it ends."""
        return agent == 0 and self.claimed_first == 0

    def rows(self, rule: i64) -> list[tuple[int, int, int, int, int]]:
        """Return what the last move was in the record's words."""
        if rule == Rule.HARDWARE_POST or rule == Verb.CLAIM_ON:
            return [self.post_row()]
        if rule == Verb.SET_PIR:
            return [(Kind.IRQ_REQUEST, -1, 0, int(self.a), int(self.b))]
        if rule == Verb.RAISE_RVI:
            return [(Kind.PID_PROCESS, 0, 0, NOTIFICATION, int(self.target.vapic.rvi))]
        return []


def post_order(mutation: str) -> World:
    """Return the world in which one vector is posted twice."""
    return Collecting("post-order", mutation, LOW)


def consume_order(mutation: str) -> World:
    """Return the world in which two vectors are posted."""
    return Collecting("consume-order", mutation, HIGH)
