"""The checker's worlds once more, naively: plain objects with sets of vectors, copied for each step, depth first.

Nothing of the package is used here. What the two have in common is only what the manuals and Xen's source say.
"""

from copy import deepcopy

LOW, HIGH = 0x41, 0x51


def count(start, actions):
    """Explore depth first; return the number of states and of edges, and the states in which nothing moves."""
    seen = {repr(vars(start))}
    stack, edges, ends = [start], 0, []
    while stack:
        state = stack.pop()
        moved = False
        for action in actions:
            after = deepcopy(state)
            if action(after):
                moved = True
                edges += 1
                name = repr(vars(after))
                if name not in seen:
                    seen.add(name)
                    stack.append(after)
        if not moved:
            ends.append(state)
    return len(seen), edges, ends


class Tiny:
    """A remapping unit posts a list of vectors; a processor collects them."""

    def __init__(self, posts, split=False, scan_first=False):
        self.posts = list(posts)
        self.split, self.scan_first = split, scan_first
        self.half = False
        self.pir, self.virr = [], []
        self.on, self.messages, self.rvi = 0, 0, 0
        self.todo, self.top = [], 0


def tiny_post(s):
    """One atomic post, or one half of a split one."""
    if not s.posts:
        return False
    if s.split and not s.half:
        s.half = True
        if not s.on:
            s.on, s.messages = 1, s.messages + 1
        return True
    vector = s.posts.pop(0)
    s.pir = sorted({*s.pir, vector})
    if not s.split and not s.on:
        s.on, s.messages = 1, s.messages + 1
    s.half = False
    return True


def tiny_step(s):
    """The processor's next step of processing."""
    if not s.todo:
        return False
    step = s.todo.pop(0)
    if step == "on":
        s.on = 0
    elif step == "pir":
        s.top = max(s.pir, default=0)
        s.virr, s.pir = sorted({*s.virr, *s.pir}), []
    else:
        s.rvi, s.top = max(s.rvi, s.top), 0
    return True


def tiny_arrival(s):
    """A message arrives and is processed as far as the first step."""
    if not s.messages or s.todo:
        return False
    s.messages -= 1
    s.todo = ["pir", "on", "rvi"] if s.scan_first else ["on", "pir", "rvi"]
    return tiny_step(s)


TINY = (tiny_post, tiny_step, tiny_arrival)


class Blocking:
    """Xen's blocking, entering and waking on pCPU 0, with both posters."""

    def __init__(self):
        self.pir, self.virr, self.visr = [], [], []
        self.on, self.nv, self.rvi, self.recognized = 0, "notify", 0, False
        self.blocked, self.listed, self.running, self.softirq = False, False, True, False
        self.flight = {"notify": 0, "wake": 0, "check": 0}
        self.posts, self.halts = [LOW, HIGH], 2
        self.place, self.todo = "guest", []
        self.handler, self.process, self.top = [], [], 0
        self.sender, self.claimed, self.saw = ["pir", "on", "running", "unblock", "notify"], False, False


SLEEP = ["blocked", "list", "nv", "sync on", "sync pir", "test", "out"]
ENTER = ["sync on", "sync pir", "rvi", "close", "nv back", "off list", "enter"]


def post(s):
    """The remapping unit's one step."""
    if not s.posts:
        return False
    s.pir = sorted({*s.pir, s.posts.pop(0)})
    if not s.on:
        s.on = 1
        s.flight[s.nv] += 1
    return True


def send(s):
    """The next step of pCPU 1."""
    if not s.sender:
        return False
    step = s.sender.pop(0)
    if step == "pir":
        if LOW in s.pir:
            s.sender = []
        s.pir = sorted({*s.pir, LOW})
    elif step == "on":
        s.claimed, s.on = not s.on, 1
    elif step == "running":
        s.saw = s.running
    elif step == "unblock":
        s.blocked = False
        if not s.saw:
            s.sender = []
    elif s.claimed:
        s.flight["notify"] += 1
    elif not s.softirq:
        s.softirq = True
        s.flight["check"] += 1
    if not s.sender:
        s.claimed, s.saw = False, False
    return True


def collect(s):
    """PIR goes into VIRR."""
    s.virr, s.pir = sorted({*s.virr, *s.pir}), []


def cpu(s):
    """The next step of pCPU 0."""
    if s.handler:
        return handle(s)
    if s.process:
        return process(s)
    if s.place == "guest":
        return guest(s)
    if s.place == "other":
        if s.blocked:
            return False
        s.place, s.running, s.todo = "enter", True, ["sn", *ENTER]
        return True
    step = s.todo.pop(0)
    if step == "blocked":
        s.blocked = True
    elif step == "list":
        s.listed = True
    elif step in ("nv", "nv back"):
        s.nv = "wake" if step == "nv" else "notify"
    elif step == "sync on":
        if not s.on:
            s.todo.pop(0)
        s.on = 0
    elif step == "sync pir":
        collect(s)
    elif step == "test":
        if s.virr:
            s.blocked, s.place, s.todo = False, "enter", list(ENTER)
    elif step == "out":
        if s.blocked:
            s.place, s.running, s.softirq = "other", False, False
        else:
            s.place, s.todo = "enter", list(ENTER)
    elif step == "rvi":
        s.rvi = max(s.virr, default=s.rvi)
    elif step == "close":
        if s.softirq:
            s.softirq, s.todo = False, list(ENTER)
    elif step == "off list":
        s.listed = False
    elif step == "enter":
        s.place, s.recognized = "guest", s.rvi >> 4 > max(s.visr, default=0) >> 4
    return True


def guest(s):
    """The guest takes, ends, or halts."""
    if s.recognized:
        s.visr = sorted([*s.visr, s.rvi])
        s.virr = [v for v in s.virr if v != s.rvi]
        s.rvi, s.recognized = max(s.virr, default=0), False
    elif s.visr:
        s.visr.pop()
        s.recognized = s.rvi >> 4 > max(s.visr, default=0) >> 4
    elif s.halts:
        s.halts -= 1
        s.place, s.todo = "block", list(SLEEP)
    else:
        return False
    return True


def process(s):
    """Posted-interrupt processing."""
    step = s.process.pop(0)
    if step == "on":
        s.on = 0
    elif step == "pir":
        s.top = max(s.pir, default=0)
        collect(s)
    else:
        s.rvi, s.top = max(s.rvi, s.top), 0
        s.recognized = s.rvi >> 4 > max(s.visr, default=0) >> 4
    return True


def handle(s):
    """The wake-up handler: walk, and wake whom it finds, and walk on."""
    if s.handler.pop(0) == "wake":
        s.blocked, s.handler = False, ["walk"]
    elif s.listed and s.on:
        s.listed, s.handler = False, ["wake"]
    return True


def takes_interrupts(s):
    """pCPU 0 is in no handler, and not between the look at the softirqs and the entry."""
    return not s.handler and not s.process and not (s.todo and s.todo[0] in ("nv back", "off list", "enter"))


def leave_guest(s):
    """An exit."""
    if s.place == "guest":
        s.place, s.recognized, s.todo = "enter", False, list(ENTER)


def notification(s):
    """The notification vector arrives."""
    if not s.flight["notify"] or not takes_interrupts(s):
        return False
    s.flight["notify"] -= 1
    if s.place == "guest":
        s.process = ["on", "pir", "rvi"]
        return process(s)
    if s.place != "other":
        s.softirq = True
    return True


def wakeup(s):
    """The wake-up vector arrives."""
    if not s.flight["wake"] or not takes_interrupts(s):
        return False
    s.flight["wake"] -= 1
    leave_guest(s)
    s.softirq, s.handler = True, ["walk"]
    return handle(s)


def event_check(s):
    """The event check arrives."""
    if not s.flight["check"] or not takes_interrupts(s):
        return False
    s.flight["check"] -= 1
    leave_guest(s)
    if s.place == "other":
        s.softirq = False
    return True


BLOCKING = (cpu, post, send, notification, wakeup, event_check)
