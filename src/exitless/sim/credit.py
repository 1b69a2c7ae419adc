"""The credit scheduler at work: its rules over the queues of all pCPUs. Cites: Xen credit.c"""

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.xen import credit
from exitless.arch.xen.credit import CREDIT_PS, SLICE_PS, TICK_PS, Next, Priority, Tickle
from exitless.bits.words import zeros
from exitless.record.sinks import Sink
from exitless.sim.softirqs import Softirqs
from exitless.sim.state import Domain, Pcpu, Softirq, Vcpu
from exitless.vocab.kinds import RunState


class CreditHost(Softirqs):
    """One queue a pCPU, by priority. ``balance`` is the sum of all credits at the last accounting. Units: ps

    Topology and soft affinity are left out: a tick moves nobody to a better pCPU.
    """

    def __init__(self, pcpus: i64, sinks: list[Sink]) -> None:
        super().__init__(pcpus, sinks)
        self.timeslice: i64 = SLICE_PS
        self.tick: i64 = TICK_PS
        self.ratelimit: i64 = credit.RATELIMIT_PS
        self.balance: i64 = 0

    def credit_enqueue(self, vcpu: Vcpu) -> None:
        """Put a vCPU into the queue of its pCPU."""
        queue: list[i64] = self.pcpus[vcpu.pcpu].queue
        n: i64 = len(queue)
        priorities: vec[i64] = zeros(n)
        i: i64 = 0
        while i < n:
            priorities[i] = self.vcpus[queue[i]].account.priority
            i += 1
        queue.insert(credit.queue_place(priorities, vcpu.account.priority, 0), vcpu.number)
        vcpu.queued = 1

    def credit_wake(self, here: Pcpu, vcpu: Vcpu, migrated: i64) -> None:
        """A vCPU has woken: it may be boosted, waits at its own pCPU, and somebody is told."""
        vcpu.account.priority = credit.woken_priority(vcpu.account.priority, migrated, vcpu.account.parked)
        self.credit_enqueue(vcpu)
        self.credit_tickle(here, vcpu)

    def credit_tickle(self, here: Pcpu, vcpu: Vcpu) -> None:
        """Tell the pCPU that should choose again because ``vcpu`` waits, if one should."""
        own: Pcpu = self.pcpus[vcpu.pcpu]
        idlers: i64 = 0
        suited: i64 = 0
        for p in self.pcpus:
            if self.is_idle(p):
                idlers += 1
                if self.may_run(vcpu, p.number):
                    suited += 1
        current: i64 = Priority.IDLE
        movable: i64 = 0
        if own.current >= 0:
            current = self.vcpus[own.current].account.priority
            if self.vcpus[own.current].pinned < 0:
                movable = 1
        answer: i64 = credit.tickle(vcpu.account.priority, current, idlers, suited, movable)
        if answer == Tickle.OWN:
            self.ask_to_schedule(here, own, vcpu)
        elif answer == Tickle.IDLER:
            chosen: i64 = self.next_idler(own, vcpu)
            own.last_tickled = chosen
            self.ask_to_schedule(here, self.pcpus[chosen], vcpu)
        elif answer == Tickle.OWN_AND_MOVE_CURRENT:
            mover: Vcpu = self.vcpus[own.current]
            if mover.move_to < 0:
                mover.move_to = self.next_idler(own, mover)
            self.ask_to_schedule(here, own, vcpu)

    def next_idler(self, own: Pcpu, vcpu: Vcpu) -> i64:
        """Return the next idle pCPU, round robin behind the one told last, on which ``vcpu`` may run; -1 for none."""
        count: i64 = len(self.pcpus)
        i: i64 = 1
        while i <= count:
            n: i64 = (own.last_tickled + i) % count
            if self.is_idle(self.pcpus[n]) and self.may_run(vcpu, n):
                return n
            i += 1
        return -1

    def credit_burn(self, pcpu: Pcpu) -> None:
        """Take the credits that the running vCPU has used; what is no whole credit yet is kept for the next time."""
        if pcpu.current < 0:
            return
        elapsed: i64 = self.now - pcpu.credit_from
        self.vcpus[pcpu.current].account.credit -= credit.burnt(elapsed)
        pcpu.credit_from = self.now - credit.burnt_rest(elapsed)

    def credit_tick(self, pcpu: Pcpu) -> None:
        """The tick finds a vCPU running: a boost is over, and it takes part in the accounting. Cites: Xen credit.c"""
        if pcpu.current < 0:
            return
        state = self.vcpus[pcpu.current].account
        state.priority = credit.ticked_priority(state.priority)
        self.credit_burn(pcpu)
        state.active = 1

    def credit_account(self) -> None:
        """A slice is over: every active vCPU gets credits by weight, and the queues are sorted anew.

        Cites: Xen credit.c csched_acct
        """
        most: i64 = self.timeslice // CREDIT_PS
        weights: i64 = 0
        for v in self.vcpus:
            if v.account.active != 0:
                weights += v.domain.weight
        if weights == 0:
            self.balance = 0
            return
        total: i64 = most * self.online_pcpus()
        owed: i64 = 0
        if self.balance < 0:
            owed = -self.balance
            total += owed
        left: i64 = weights
        self.balance = 0
        for d in self.domains:
            active: i64 = self.active_in(d)
            if active > 0:
                left -= d.weight * active
                peak: i64 = active * most + credit.fair_share(owed, d.weight * active, weights)
                cap: i64 = (d.cap * most + 99) // 100
                if cap > 0 and cap < peak:
                    peak = cap
                fair: i64 = credit.fair_share(total, d.weight * active, weights)
                if fair >= peak:
                    if left > 0:
                        total += ((fair - peak) * weights + left - 1) // left
                    fair = peak
                self.credit_pay(d, (fair + active - 1) // active, (cap + active - 1) // active, most)
        self.sort_queues()

    def online_pcpus(self) -> i64:
        """Return how many pCPUs are online."""
        count: i64 = 0
        for p in self.pcpus:
            count += p.online
        return count

    def active_in(self, domain: Domain) -> i64:
        """Return how many vCPUs of a domain take part in the accounting."""
        count: i64 = 0
        i: i64 = domain.first
        while i < domain.first + domain.vcpus:
            count += self.vcpus[i].account.active
            i += 1
        return count

    def credit_pay(self, domain: Domain, share: i64, cap: i64, most: i64) -> None:
        """Give the active vCPUs of a domain their share; one beyond its cap is parked, one within it again is not."""
        i: i64 = domain.first
        while i < domain.first + domain.vcpus:
            v: Vcpu = self.vcpus[i]
            if v.account.active != 0:
                credit.account(v.account, share, cap, most)
                self.balance += v.account.credit
                if v.account.parked != v.parked:
                    if v.parked == 0:
                        self.park(v)
                    else:
                        self.unpark(v)
            i += 1

    def sort_queues(self) -> None:
        """Put every queue into the order of priorities; who waits longer stays first among equals."""
        for p in self.pcpus:
            waiting: list[i64] = list(p.queue)
            p.queue = []
            for number in waiting:
                self.credit_enqueue(self.vcpus[number])

    def park(self, vcpu: Vcpu) -> None:
        """A capped vCPU has had its part: it does not run before the next period."""
        vcpu.parked = 1
        if vcpu.queued != 0:
            self.dequeue(vcpu)
            self.set_runstate(vcpu, RunState.OFFLINE, vcpu.pcpu)
        elif vcpu.cpu.running_on >= 0:
            here: Pcpu = self.pcpus[0]
            self.raise_softirq_on(here, self.pcpus[vcpu.cpu.running_on], Softirq.SCHEDULE)

    def unpark(self, vcpu: Vcpu) -> None:
        """A capped vCPU may run again; it is not boosted for that."""
        vcpu.parked = 0
        if vcpu.runstate == RunState.OFFLINE:
            self.set_runstate(vcpu, RunState.RUNNABLE, vcpu.pcpu)
            self.resume(self.pcpus[0], vcpu)

    def resume(self, here: Pcpu, vcpu: Vcpu) -> None:
        """A vCPU may run that could not, without having woken: it waits, and somebody is told."""
        self.credit_enqueue(vcpu)
        self.credit_tickle(here, vcpu)

    def dequeue(self, vcpu: Vcpu) -> None:
        """Take a vCPU out of the queue it waits in."""
        self.pcpus[vcpu.pcpu].queue.remove(vcpu.number)
        vcpu.queued = 0

    def credit_choose(self, pcpu: Pcpu) -> i64:
        """Decide who runs next on ``pcpu``, and for how long. Returns: the vCPU, -1 for idle.

        Cites: Xen credit.c csched_schedule
        """
        self.credit_burn(pcpu)
        current: i64 = pcpu.current
        ran: i64 = self.now - pcpu.scheduled_at
        runnable: i64 = 0
        mine: i64 = Priority.IDLE
        if current >= 0 and self.is_runnable(self.vcpus[current]):
            runnable = 1
            mine = self.vcpus[current].account.priority
        kept: i64 = 0
        if credit.is_kept_by_ratelimit(ran, self.ratelimit, runnable, 0):
            kept = 1
        best: i64 = Priority.IDLE
        if len(pcpu.queue) > 0:
            best = self.vcpus[pcpu.queue[0]].account.priority
        answer: i64 = credit.choose(0, kept, runnable, mine, best)
        if kept != 0:
            pcpu.slice_end = self.now + credit.rest_of_ratelimit(ran, self.ratelimit)
            return current
        pcpu.slice_end = self.now + self.timeslice
        top: i64 = best
        if mine > best:
            top = mine
        if answer == Next.STEAL:
            found: i64 = self.steal(pcpu, top)
            if found >= 0:
                return found
        if top <= Priority.IDLE:
            return -1
        if mine > best:
            return current
        return pcpu.queue[0]

    def steal(self, pcpu: Pcpu, than: i64) -> i64:
        """Look at peers that run something for a waiting vCPU of higher priority than ``than`` that may run here.

        Returns: its number, or -1. Cites: Xen credit.c csched_schedule
        """
        if pcpu.stole_at >= 0 and not credit.may_steal(self.now - pcpu.stole_at):
            return -1
        pcpu.stole_at = self.now
        count: i64 = len(self.pcpus)
        i: i64 = 1
        while i < count:
            other: Pcpu = self.pcpus[(pcpu.number + i) % count]
            if other.current >= 0:
                for number in other.queue:
                    v: Vcpu = self.vcpus[number]
                    if v.account.priority <= than:
                        break
                    if v.switching == 0 and self.may_run(v, pcpu.number):
                        return number
            i += 1
        return -1
