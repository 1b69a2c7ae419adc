"""The credit2 scheduler at work: its rules over run queues of up to 16 pCPUs each. Cites: Xen credit2.c"""

from mypy_extensions import i64

from exitless.arch.xen import credit2
from exitless.arch.xen.credit2 import IDLE_CREDIT, INITIAL_CREDIT, PCPUS_PER_QUEUE, Skip, Tickle
from exitless.record.sinks import Sink
from exitless.sim.credit import CreditHost
from exitless.sim.state import Domain, Pcpu, Vcpu


class Credit2Host(CreditHost):
    """One queue for 16 pCPUs, by credit. Units: ps

    Every pCPU counts as a core of its own, soft affinity is left out, and so is the balancing of load between run
    queues: a vCPU changes its queue only when it is moved.
    """

    def __init__(self, pcpus: i64, sinks: list[Sink]) -> None:
        super().__init__(pcpus, sinks)

    def first_of_queue(self, pcpu: i64) -> i64:
        """Return the first pCPU of the run queue that ``pcpu`` belongs to."""
        return pcpu // PCPUS_PER_QUEUE * PCPUS_PER_QUEUE

    def end_of_queue(self, pcpu: i64) -> i64:
        """Return the pCPU after the last of that run queue."""
        end: i64 = self.first_of_queue(pcpu) + PCPUS_PER_QUEUE
        if end > len(self.pcpus):
            return len(self.pcpus)
        return end

    def queue_for(self, pcpu: i64) -> list[i64]:
        """Return the queue of vCPUs that wait for one of these pCPUs."""
        return self.pcpus[self.first_of_queue(pcpu)].queue

    def weigh(self) -> None:
        """Note for each run queue how heavy its heaviest vCPU is. Cites: Xen credit2.c t2c_update"""
        for p in self.pcpus:
            p.heaviest = 1
        for v in self.vcpus:
            p = self.pcpus[self.first_of_queue(v.pcpu)]
            if v.domain.weight > p.heaviest:
                p.heaviest = v.domain.weight

    def heaviest_at(self, pcpu: i64) -> i64:
        """Return the greatest weight in a pCPU's run queue."""
        return self.pcpus[self.first_of_queue(pcpu)].heaviest

    def credit2_enqueue(self, vcpu: Vcpu) -> None:
        """Put a vCPU behind those that have as much credit or more. Cites: Xen credit2.c runq_candidate"""
        queue: list[i64] = self.queue_for(vcpu.pcpu)
        i: i64 = 0
        n: i64 = len(queue)
        while i < n and self.vcpus[queue[i]].credit >= vcpu.credit:
            i += 1
        queue.insert(i, vcpu.number)
        vcpu.queued = 1

    def credit2_wake(self, here: Pcpu, vcpu: Vcpu) -> None:
        """A vCPU may run again: it is queued and somebody is told, or, while it is being saved, it is only marked."""
        out: i64 = 1 - vcpu.switching
        if credit2.is_delayed(out):
            vcpu.delayed = 1
            return
        self.credit2_enqueue(vcpu)
        self.credit2_tickle(here, vcpu)

    def credit2_tickle(self, here: Pcpu, vcpu: Vcpu) -> None:
        """Tell the pCPU that should choose again because ``vcpu`` waits, if one should."""
        own: i64 = vcpu.pcpu
        exclusive: i64 = 0
        if vcpu.pinned == own:
            exclusive = 1
        own_idle: i64 = 0
        if self.is_idle(self.pcpus[own]):
            own_idle = 1
        idler: i64 = own
        if own_idle == 0 or not self.may_run(vcpu, own):
            idler = self.idler_for(vcpu)
        idlers: i64 = 0
        if idler >= 0:
            idlers = 1
        score: i64 = 0
        victim: i64 = -1
        if idlers == 0:
            victim = self.weakest(vcpu)
            if victim >= 0:
                score = 1
        answer: i64 = credit2.tickle(exclusive, own_idle, idlers, idlers, score)
        chosen: i64 = own
        if answer == Tickle.NOBODY:
            return
        if answer == Tickle.IDLE_CORE or answer == Tickle.IDLER:
            chosen = idler
        elif answer == Tickle.PREEMPT:
            chosen = victim
        vcpu.promised = chosen
        self.ask_to_schedule(here, self.pcpus[chosen], vcpu)

    def idler_for(self, vcpu: Vcpu) -> i64:
        """Return the next idle pCPU of the run queue behind a vCPU's own on which it may run; -1 for none."""
        first: i64 = self.first_of_queue(vcpu.pcpu)
        count: i64 = self.end_of_queue(vcpu.pcpu) - first
        i: i64 = 0
        while i < count:
            n: i64 = first + (vcpu.pcpu - first + i) % count
            if self.is_idle(self.pcpus[n]) and self.may_run(vcpu, n):
                return n
            i += 1
        return -1

    def weakest(self, vcpu: Vcpu) -> i64:
        """Return the pCPU whose vCPU has the lowest credit and may be preempted for ``vcpu``, its own first; or -1.

        Cites: Xen credit2.c runq_tickle
        """
        first: i64 = self.first_of_queue(vcpu.pcpu)
        end: i64 = self.end_of_queue(vcpu.pcpu)
        best: i64 = 0
        found: i64 = -1
        i: i64 = first - 1
        while i < end:
            n: i64 = i
            if i < first:
                n = vcpu.pcpu
            p: Pcpu = self.pcpus[n]
            if p.current >= 0 and p.tickled == 0 and self.may_run(vcpu, n):
                self.credit2_burn(p)
                remote: i64 = 0
                if n != vcpu.pcpu:
                    remote = 1
                score: i64 = credit2.tickle_score(vcpu.credit, self.vcpus[p.current].credit, remote)
                if score > best and credit2.may_preempt(score, self.now - p.scheduled_at, self.ratelimit):
                    best = score
                    found = n
            i += 1
        return found

    def credit2_burn(self, pcpu: Pcpu) -> None:
        """The running vCPU pays for its time, in credit and, if its domain is capped, in budget."""
        if pcpu.current < 0:
            return
        v: Vcpu = self.vcpus[pcpu.current]
        elapsed: i64 = self.now - pcpu.credit_from
        if elapsed <= 0:
            return
        heaviest: i64 = self.heaviest_at(pcpu.number)
        cost: i64 = credit2.burn(elapsed, v.domain.weight, heaviest, v.rest)
        v.rest = credit2.burn_rest(elapsed, v.domain.weight, heaviest, v.rest)
        v.credit = credit2.lowered(v.credit, cost)
        if v.domain.cap != 0:
            v.budget -= elapsed
        pcpu.credit_from = self.now

    def total_budget(self, domain: Domain) -> i64:
        """Return what a capped domain may run in a period."""
        return credit2.BUDGET_PERIOD_PS * domain.cap // 100

    def has_budget(self, vcpu: Vcpu) -> bool:
        """Tell whether a vCPU may run as far as its domain's cap goes, after taking a part of what is left of it.

        An overrun is paid first, and out of what the whole domain has.
        """
        domain: Domain = vcpu.domain
        if domain.cap == 0 or vcpu.budget > 0:
            return True
        domain.budget += vcpu.budget
        vcpu.budget = credit2.grabbed(domain.budget, credit2.quota(self.total_budget(domain), domain.vcpus))
        domain.budget -= vcpu.budget
        return vcpu.budget > 0

    def credit2_replenish(self) -> None:
        """A period of 10 ms is over: capped domains have a budget again, and who was parked may run."""
        for d in self.domains:
            if d.cap != 0:
                d.budget = credit2.replenished(d.budget, self.total_budget(d))
                i: i64 = d.first
                while i < d.first + d.vcpus:
                    v: Vcpu = self.vcpus[i]
                    if v.parked != 0 and self.has_budget(v):
                        self.unpark(v)
                    i += 1

    def credit2_reset(self, pcpu: i64) -> None:
        """All of a run queue start anew; who runs pays first. Their order stays. Cites: Xen credit2.c reset_credit"""
        first: i64 = self.first_of_queue(pcpu)
        end: i64 = self.end_of_queue(pcpu)
        n: i64 = first
        while n < end:
            self.credit2_burn(self.pcpus[n])
            n += 1
        for v in self.vcpus:
            if v.pcpu >= first and v.pcpu < end:
                v.credit = credit2.reset(v.credit)

    def credit2_candidate(self, pcpu: Pcpu) -> i64:
        """Look for the vCPU that should run: the current one, the first of the queue that beats it, or -1 for idle.

        Cites: Xen credit2.c runq_candidate
        """
        best: i64 = -1
        credit: i64 = IDLE_CREDIT
        if pcpu.current >= 0 and self.is_runnable(self.vcpus[pcpu.current]):
            best = pcpu.current
            credit = self.vcpus[best].credit
            if credit2.is_kept_by_ratelimit(self.now - pcpu.scheduled_at, self.ratelimit, 1, 0):
                return best
        for number in list(self.queue_for(pcpu.number)):
            v: Vcpu = self.vcpus[number]
            allowed: i64 = 0
            if self.may_run(v, pcpu.number):
                allowed = 1
            promised: i64 = 0
            if v.promised >= 0 and v.promised != pcpu.number and self.pcpus[v.promised].tickled != 0:
                promised = 1
            remote: i64 = 0
            if v.pcpu != pcpu.number:
                remote = 1
            answer: i64 = credit2.skips(v.credit, credit, allowed, promised, remote, 1)
            if answer == Skip.CREDIT:
                return best
            if answer == Skip.NONE:
                if self.has_budget(v):
                    return number
                self.park(v)
        return best

    def credit2_choose(self, pcpu: Pcpu) -> i64:
        """Decide who runs next on ``pcpu``, and for how long. Returns: the vCPU, -1 for idle.

        Cites: Xen credit2.c csched2_schedule
        """
        self.credit2_burn(pcpu)
        if pcpu.current >= 0 and not self.has_budget(self.vcpus[pcpu.current]):
            self.vcpus[pcpu.current].parked = 1
        chosen: i64 = self.credit2_candidate(pcpu)
        pcpu.slice_end = -1
        if chosen < 0:
            return chosen
        v: Vcpu = self.vcpus[chosen]
        if credit2.needs_reset(v.credit):
            self.credit2_reset(pcpu.number)
        v.promised = -1
        if v.pcpu != pcpu.number:
            v.credit = credit2.moved(v.credit)
        waiter: i64 = 0
        for number in self.queue_for(pcpu.number):
            if number != chosen:
                waiter = self.vcpus[number].credit
                break
        ran: i64 = 0
        if chosen == pcpu.current:
            ran = self.now - pcpu.scheduled_at
        budget: i64 = -1
        if v.domain.cap != 0:
            budget = v.budget
        heaviest: i64 = self.heaviest_at(pcpu.number)
        least: i64 = credit2.least_slice(ran, self.ratelimit)
        length: i64 = credit2.slice_length(v.credit, waiter, v.domain.weight, heaviest, budget, least)
        pcpu.slice_end = self.now + length
        return chosen

    def start_credit2(self) -> None:
        """The host starts: weights are known, and capped domains have their budget."""
        self.weigh()
        for d in self.domains:
            d.budget = self.total_budget(d)
        for v in self.vcpus:
            v.credit = INITIAL_CREDIT
