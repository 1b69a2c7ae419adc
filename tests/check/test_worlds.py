"""The worlds of the checker: how large they are, that they hold, and that every wrong order is found at once."""

from functools import cache

import pytest

from exitless.check.catalog import entries, make
from exitless.check.explore import Search, explore
from exitless.check.path import counterexample, path_to
from exitless.check.property import Law, Sometimes, law_name
from tests.naive import unmasking
from tests.naive import worlds as naive

LIMIT = 200_000

# World: states, edges, states at rest, steps to the farthest. Any change of meaning shows here.
SIZES = {
    "post-order": (18, 20, 3, 7),
    "consume-order": (18, 20, 3, 7),
    "post-while-blocking": (41_356, 95_332, 30, 55),
    "event-with-reinjection": (192, 357, 9, 15),
    "window-under-vid": (1_339, 2_658, 15, 27),
    "unmask-while-sending": (3_676, 8_433, 18, 39),
    "pirq-in-flight": (5_338, 15_460, 9, 36),
    "fifo-link": (33_227, 81_907, 50, 56),
    "claim-once": (127, 248, 9, 11),
    "hooks-removed": (2_566, 7_101, 18, 18),
    "save-and-restore": (328, 635, 19, 11),
    "request-by-entry": (183, 347, 12, 11),
    "level-in-flight": (1_019, 2_263, 18, 23),
    "avic-ipi": (369, 732, 12, 22),
    "direct-eoi": (104, 153, 9, 10),
    "posting-a-pirq": (442, 982, 13, 16),
    "kvm-blocking": (2_615, 5_398, 24, 43),
    "post-while-migrating": (50_011, 115_157, 28, 40),
    "post-while-preempted": (91_636, 222_380, 34, 46),
}

# World, mutation: the law that breaks and the fewest steps to it.
BREAKS = {
    ("post-order", "pir-after-on"): (Law.LEFT_BEHIND, 5),
    ("consume-order", "scan-before-clear"): (Law.LEFT_BEHIND, 5),
    ("post-while-blocking", "check-before-nv"): (Law.LOST, 9),
    ("post-while-blocking", "list-after-nv"): (Law.LOST, 9),
    ("post-while-blocking", "no-self-check"): (Law.LOST, 7),
    ("post-while-blocking", "pir-after-on"): (Law.DELAYED, 3),
    ("post-while-blocking", "scan-before-clear"): (Law.DELAYED, 7),
    ("post-while-blocking", "notification-handler-does-nothing"): (Law.DELAYED, 22),
    ("post-while-blocking", "wakeup-raises-no-softirq"): (Law.DELAYED, 21),
    ("post-while-blocking", "softirq-only-if-found"): (Law.DELAYED, 25),
    ("post-while-blocking", "wakeup-clears-on"): (Law.DELAYED, 21),
    ("post-while-blocking", "suppress-while-blocked"): (Law.LOST, 9),
    ("post-while-blocking", "sn-left-set"): (Law.LOST, 9),
    ("post-while-blocking", "never-listed"): (Law.UNREACHABLE_SLEEPER, 6),
    ("post-while-blocking", "rvi-not-written"): (Law.STATUS_LAGS, 13),
    ("post-while-blocking", "pir-wiped"): (Law.REQUEST_VANISHED, 5),
    ("post-while-blocking", "nv-not-restored"): (Law.WRONG_VECTOR_IN_GUEST, 13),
    ("post-while-blocking", "pir-kept"): (Law.DELAYED, 7),
    ("event-with-reinjection", "no-window-for-callback"): (Law.DELAYED, 5),
    ("event-with-reinjection", "no-window-when-closed"): (Law.DELAYED, 6),
    ("event-with-reinjection", "window-kept"): (Law.ENDLESS, 4),
    ("window-under-vid", "no-window-for-callback"): (Law.STATUS_LAGS, 5),
    ("window-under-vid", "no-window-when-closed"): (Law.STATUS_LAGS, 6),
    ("window-under-vid", "window-kept"): (Law.ENDLESS, 5),
    ("window-under-vid", "rvi-in-lapic-branch-only"): (Law.STATUS_LAGS, 11),
    ("window-under-vid", "no-window-after-injection"): (Law.STATUS_LAGS, 4),
    ("unmask-while-sending", "mask-read-first"): (Law.EVENT_UNSEEN, 5),
    ("unmask-while-sending", "no-second-mask"): (Law.EVENT_UNSEEN, 6),
    ("unmask-while-sending", "pending-before-mask"): (Law.EVENT_UNSEEN, 5),
    ("unmask-while-sending", "no-hypercall"): (Law.EVENT_UNSEEN, 5),
    ("unmask-while-sending", "upcall-cleared-late"): (Law.UPCALL_UNSAID, 16),
    ("unmask-while-sending", "ack-last"): (Law.EVENT_VANISHED, 11),
    ("pirq-in-flight", "queue-before-work"): (Law.INTERRUPT_LOST, 18),
    ("pirq-in-flight", "work-before-list"): (Law.INTERRUPT_LOST, 18),
    ("pirq-in-flight", "timer-not-armed"): (Law.NEVER_ENDED, 10),
    ("pirq-in-flight", "armed-again-not-asked"): (Law.FORCED_EARLY, 12),
    ("pirq-in-flight", "ready-on-one-pcpu"): (Law.NEVER_ENDED, 17),
    ("pirq-in-flight", "no-eoi"): (Law.STACK_DIFFERS, 8),
    ("fifo-link", "no-hypercall"): (Law.EVENT_UNSEEN, 4),
    ("fifo-link", "pending-after-link"): (Law.EVENT_UNSEEN, 4),
    ("fifo-link", "stale-tail-kept"): (Law.EVENT_LOST, 21),
    ("fifo-link", "link-unlinked-tail"): (Law.EVENT_LOST, 19),
    ("fifo-link", "unlink-in-two-steps"): (Law.EVENT_LOST, 20),
    ("fifo-link", "no-busy"): (Law.LINK_REFUSED, 35),
    ("fifo-link", "unmask-while-busy"): (Law.LINK_REFUSED, 36),
    ("fifo-link", "no-guest-lock"): (Law.LINK_REFUSED, 39),
    ("claim-once", "softirq-as-latch"): (Law.LEFT_BEHIND, 7),
    ("hooks-removed", "switch-to-hook-removed"): (Law.SUPPRESSED_WHILE_RUNNING, 4),
    ("save-and-restore", "pid-not-cleared"): (Law.DELIVERED_TWICE, 6),
    ("save-and-restore", "pir-not-merged"): (Law.REQUEST_VANISHED, 4),
    ("save-and-restore", "svi-not-restored"): (Law.STATUS_LAGS, 7),
    ("request-by-entry", "injected-too"): (Law.DELIVERED_TWICE, 4),
    ("request-by-entry", "rvi-not-written"): (Law.STATUS_LAGS, 3),
    ("request-by-entry", "no-sync-behind-nmi"): (Law.DELAYED, 4),
    ("request-by-entry", "svi-kept"): (Law.STATUS_LAGS, 6),
    ("request-by-entry", "svi-zeroed"): (Law.STATUS_LAGS, 10),
    ("level-in-flight", "bitmap-at-next-entry"): (Law.LINE_DEAD, 7),
    ("level-in-flight", "bitmap-by-kick"): (Law.LINE_DEAD, 12),
    ("level-in-flight", "visr-cleared-again"): (Law.ENDED_EARLY, 11),
    ("level-in-flight", "in-flight-forgotten"): (Law.LINE_DEAD, 10),
    ("avic-ipi", "running-read-first"): (Law.LOST, 8),
    ("avic-ipi", "irr-asked-first"): (Law.LOST, 8),
    ("avic-ipi", "no-doorbell"): (Law.DELAYED, 3),
    ("avic-ipi", "request-set-again"): (Law.DELIVERED_TWICE, 12),
    ("direct-eoi", "both-end"): (Law.ENDED_EARLY, 7),
    ("direct-eoi", "host-does-not-end"): (Law.NEVER_ENDED, 6),
    ("posting-a-pirq", "posts-vector-0"): (Law.INTERRUPT_LOST, 3),
    ("kvm-blocking", "sync-before-mode"): (Law.DELAYED, 17),
    ("kvm-blocking", "nv-not-armed"): (Law.LOST, 8),
    ("kvm-blocking", "never-listed"): (Law.LOST, 8),
    ("kvm-blocking", "no-self-ipi"): (Law.LOST, 8),
    ("kvm-blocking", "control-before-list"): (Law.LISTED_WHILE_RUNNING, 18),
    ("kvm-blocking", "current-taken-for-target"): (Law.REQUEST_VANISHED, 9),
    ("post-while-migrating", "no-rescan"): (Law.DELAYED, 12),
    ("post-while-migrating", "rescan-before-clear"): (Law.DELAYED, 13),
    ("post-while-migrating", "sn-never-cleared"): (Law.SUPPRESSED_WHILE_RUNNING, 10),
    ("post-while-migrating", "sync-before-switch"): (Law.DELAYED, 13),
    ("post-while-migrating", "ndst-not-written"): (Law.SUPPRESSED_WHILE_RUNNING, 13),
    ("post-while-migrating", "running-read-first"): (Law.DELAYED, 16),
    ("post-while-preempted", "no-rescan"): (Law.DELAYED, 12),
    ("post-while-preempted", "rescan-before-clear"): (Law.DELAYED, 13),
    ("post-while-preempted", "sn-never-cleared"): (Law.SUPPRESSED_WHILE_RUNNING, 10),
    ("post-while-preempted", "sync-before-switch"): (Law.DELAYED, 13),
}

# A law that is never the first to break is shown to break with the others left aside.
ALONE = [
    (Law.DELIVERED_TWICE, "post-while-blocking", "pir-kept"),
    (Law.SUPPRESSED_WHILE_RUNNING, "post-while-blocking", "sn-left-set"),
    (Law.LOST, "post-while-blocking", "pir-after-on"),
    (Law.LOST, "post-while-preempted", "no-rescan"),
    (Law.DELAYED, "hooks-removed", "switch-to-hook-removed"),
    (Law.DELAYED, "window-under-vid", "rvi-in-lapic-branch-only"),
    (Law.EVENT_LOST, "unmask-while-sending", "mask-read-first"),
    (Law.EVENT_LOST, "unmask-while-sending", "no-second-mask"),
    (Law.EVENT_LOST, "unmask-while-sending", "pending-before-mask"),
    (Law.EVENT_LOST, "unmask-while-sending", "no-hypercall"),
    (Law.EVENT_LOST, "unmask-while-sending", "upcall-cleared-late"),
    (Law.EVENT_LOST, "fifo-link", "no-hypercall"),
    (Law.EVENT_LOST, "fifo-link", "pending-after-link"),
    (Law.EVENT_LOST, "fifo-link", "no-guest-lock"),
]

# Wrong on sight, and harmless: the search says why each step is there, and these say which are there to save work.
HARMLESS = [
    ("post-while-blocking", "list-between", 0),
    ("unmask-while-sending", "no-last-look", 0),
    ("event-with-reinjection", "no-window-after-injection", 0),
    ("post-while-preempted", "not-suppressed", Sometimes.SUPPRESSED),
    ("kvm-blocking", "list-after-nv", 0),
]


@cache
def explored(name: str) -> Search:
    """A world as it should be, explored once."""
    return explore(make(name, ""), LIMIT)


def alone(name: str, mutation: str, law: int) -> Search:
    """Return the search for the first state that breaks one law, the others left aside."""
    search = Search(make(name, mutation), LIMIT)
    search.ignored = sum(1 << other for other in search.world.laws if other != law)
    while search.advance(1000):
        pass
    return search


@pytest.fixture(scope="module")
def blocking() -> Search:
    """post-while-blocking, explored once."""
    return explored("post-while-blocking")


@pytest.mark.parametrize("name", list(SIZES))
def test_every_world_holds_and_has_its_exact_size(name: str) -> None:
    search = explored(name)
    assert search.law == Law.NONE, f"{law_name(search.law)}: {[t.says for t in counterexample(search).steps]}"
    assert (len(search.keys), search.edges, search.quiet, search.longest()) == SIZES[name]


@pytest.mark.parametrize("name", list(SIZES))
def test_in_every_world_the_interesting_things_do_happen(name: str) -> None:
    """A world in which nothing happens breaks no law: "sometimes" is what it cannot pass."""
    search = explored(name)
    assert search.world.wanted != 0 and search.missing() == 0


def test_the_tables_above_name_every_world_and_mutation() -> None:
    assert {entry.name for entry in entries()} == set(SIZES)
    assert {(entry.name, m) for entry in entries() for m in entry.mutation_names()} == set(BREAKS)


@pytest.mark.parametrize(("name", "mutation"), list(BREAKS))
def test_every_mutation_breaks_its_law_in_the_fewest_steps(name: str, mutation: str) -> None:
    search = explore(make(name, mutation), LIMIT)
    law, steps = BREAKS[name, mutation]
    assert (law_name(search.law), len(counterexample(search).steps)) == (law_name(law), steps)


@pytest.mark.parametrize(("name", "mutation"), [("post-order", "pir-after-on"), ("consume-order", "scan-before-clear")])
def test_the_two_minimal_orders_break_in_at_most_six_steps(name: str, mutation: str) -> None:
    """Post order and consume order, wrong: PIR holds a vector, ON is 0 or nobody is told, and nothing is under way."""
    path = counterexample(explore(make(name, mutation), LIMIT))
    end = dict(path.last)
    assert len(path.steps) <= 6
    assert end["PIR"] != "{}" and end["ON"] == "0" and end["under way"] == "nothing"


@pytest.mark.parametrize(("law", "name", "mutation"), ALONE)
def test_laws_that_never_break_first_do_break(law: int, name: str, mutation: str) -> None:
    assert alone(name, mutation, law).law == law


@pytest.mark.parametrize(("name", "mutation", "missing"), HARMLESS)
def test_steps_that_only_save_work_may_be_left_out(name: str, mutation: str, missing: int) -> None:
    """The list between NV and the question; the guest's last look at upcall_pending, since a raise after it kicks;
    the window tax where nothing but upcalls comes; SN, without which notifications go to whoever runs there; KVM's list
    last of all, since interrupts are off until then.
    """
    search = explore(make(name, mutation), LIMIT)
    assert (search.law, search.missing()) == (Law.NONE, missing)


def test_every_law_of_a_world_is_broken_by_some_mutation_except_that_runs_end() -> None:
    broken = {law for law, _ in BREAKS.values()} | {law for law, _, _ in ALONE}
    for name in SIZES:
        world = make(name, "")
        kept = set(world.laws) - broken - {Law.ENDLESS}
        assert not kept, f"{name}: nothing breaks {[law_name(law) for law in kept]}"


def test_the_lost_wakeup_ends_with_a_vector_in_pir_and_a_sleeping_vcpu() -> None:
    """The last question before NV: the notification goes to the other vCPU, and the sleeper is told nothing more."""
    path = counterexample(explore(make("post-while-blocking", "check-before-nv"), LIMIT))
    end = dict(path.last)
    assert (end["PIR"], end["ON"], end["vCPU"], end["NV"]) == ("{0x41}", "1", "asleep", "wake-up")
    assert path.steps[-1].who == "notification" and "another vCPU" in path.steps[-1].says


def test_after_the_lost_wakeup_later_posts_send_nothing() -> None:
    """ON stays 1, so no post notifies, and the wake-up vector is never sent."""
    search = explore(make("post-while-blocking", "check-before-nv"), LIMIT)
    world = search.world
    world.load(search.keys[search.found])
    assert world.move(world.agents.index("VT-d")) != 0
    end = dict(world.fields())
    assert (end["PIR"], end["under way"], end["vCPU"]) == ("{0x41, 0x51}", "nothing", "asleep")


def test_a_notification_taken_by_another_vcpu_leaves_the_descriptor_alone(blocking: Search) -> None:
    """Wrong CPU: it clears that vCPU's ON and takes that vCPU's PIR; ON and PIR of the one meant stay."""
    seen = 0
    for number in range(0, len(blocking.keys), 7):
        world = blocking.world
        world.load(blocking.keys[number])
        before = dict(world.fields())
        if before["pCPU 0 runs"] == "another vCPU" and world.move(world.agents.index("notification")) != 0:
            after = dict(world.fields())
            assert [after[f] for f in ("PIR", "ON", "VIRR", "vCPU")] == [
                before[f] for f in ("PIR", "ON", "VIRR", "vCPU")
            ]
            seen += 1
    assert seen > 0


def test_candidate_c1_a_vcpu_that_halts_after_a_post_under_sn_sleeps_on_it() -> None:
    """PIR holds the vector, ON is clear, so the last question passes it by, and nothing under way wakes the vCPU."""
    path = counterexample(alone("post-while-preempted", "no-rescan", Law.LOST))
    end = dict(path.last)
    assert (end["PIR"] != "{}", end["ON"], end["SN"], end["vCPU"]) == (True, "0", "0", "asleep")
    assert end["under way"] == "nothing"


def test_candidate_c2_a_vector_behind_a_reinjection_waits_without_rvi_and_window() -> None:
    end = dict(counterexample(alone("window-under-vid", "rvi-in-lapic-branch-only", Law.DELAYED)).last)
    assert end["VIRR"] != "{}" and (end["RVI"], end["window"], end["kick under way"], end["IF"]) == (
        "0",
        "no",
        "0",
        "1",
    )


def test_candidate_c3_an_upcall_behind_a_reinjection_waits_without_a_window() -> None:
    end = dict(counterexample(explore(make("event-with-reinjection", "no-window-for-callback"), LIMIT)).last)
    assert (end["upcall_pending"], end["window"], end["kick under way"], end["IF"]) == ("1", "no", "0", "1")


def test_candidate_c5_vector_0_is_posted_and_the_pirqs_port_is_never_raised() -> None:
    """The notification brings bit 0 into VIRR, where it never exceeds VPPR's class; no do_IRQ sees the message."""
    path = counterexample(explore(make("posting-a-pirq", "posts-vector-0"), LIMIT))
    end = dict(path.last)
    assert (end["PIRQ's entry"], end["VIRR"], end["RVI"]) == ("posted, vector 0", "{0}", "0")
    assert (end["under way"], end["host vector"], end["port"], end["upcall_pending"]) == (
        "nothing",
        "0",
        "not pending",
        "0",
    )


def test_candidate_c5_no_later_exit_brings_the_event_and_vectors_are_still_posted() -> None:
    """Wherever vector 0 has been posted, in every order, the port stays quiet; the other device is not held back."""
    search = Search(make("posting-a-pirq", "posts-vector-0"), LIMIT)
    search.ignored = 1 << Law.INTERRUPT_LOST
    while search.advance(1000):
        pass
    assert search.law == Law.NONE and search.missing() == Sometimes.UPCALL
    for key in search.keys:
        search.world.load(key)
        assert dict(search.world.fields())["port"] == "not pending"


def test_candidate_c10_a_level_ends_without_an_exit_and_its_line_is_dead() -> None:
    """The bitmap's bit comes with an entry, but a notification that was under way has brought the vector before it."""
    path = counterexample(explore(make("level-in-flight", "bitmap-by-kick"), LIMIT))
    end = dict(path.last)
    assert (end["remote IRR"], end["EOI-exit bit"], end["under way"]) == ("1", "1", "nothing")
    assert [t.who for t in path.steps].index("notification") < [t.who for t in path.steps].index("kick")


def test_a_refused_link_leaves_an_event_that_nothing_reaches() -> None:
    """The port is linked and pending, the guest's queue is empty, and later events would go behind it."""
    end = dict(counterexample(alone("fifo-link", "no-guest-lock", Law.EVENT_LOST)).last)
    assert end["not handled"] != "[]" and (end["READY"], end["next"], end["upcall_pending"]) == ("0", "0", "0")
    assert f"word {end['tail']}" in end and "PENDING" in end[f"word {end['tail']}"]


@pytest.mark.parametrize("vectors", [(naive.LOW, naive.LOW), (naive.LOW, naive.HIGH)])
def test_a_naive_model_finds_as_many_states_in_the_smallest_worlds(vectors: tuple[int, int]) -> None:
    name = "post-order" if vectors[0] == vectors[1] else "consume-order"
    search = explore(make(name, ""), LIMIT)
    states, edges, ends = naive.count(naive.Tiny(vectors), naive.TINY)
    assert (len(search.keys), search.edges) == (states, edges)
    assert all(not end.pir for end in ends)


@pytest.mark.parametrize(
    ("name", "mutation", "options"),
    [("post-order", "pir-after-on", {"split": True}), ("consume-order", "scan-before-clear", {"scan_first": True})],
)
def test_the_naive_model_loses_the_same_posts(name: str, mutation: str, options: dict[str, bool]) -> None:
    posts = (naive.LOW, naive.LOW if name == "post-order" else naive.HIGH)
    states, edges, ends = naive.count(naive.Tiny(posts, **options), naive.TINY)
    search = Search(make(name, mutation), LIMIT)
    search.ignored = 1 << Law.LEFT_BEHIND
    while search.advance(1000):
        pass
    assert (len(search.keys), search.edges) == (states, edges)
    assert any(end.pir for end in ends)


def test_a_naive_model_of_unmasking_finds_as_many_states_and_edges() -> None:
    search = explored("unmask-while-sending")
    states, edges, ends = unmasking.count()
    assert (len(search.keys), search.edges) == (states, edges)
    assert ends and all(not bits for bits, *_ in ends)


def test_a_naive_model_of_blocking_finds_as_many_states_and_edges(blocking: Search) -> None:
    """Written apart, with sets and copies, searched depth first: same states, same edges, nothing owed at its ends."""
    states, edges, ends = naive.count(naive.Blocking(), naive.BLOCKING)
    assert (len(blocking.keys), blocking.edges) == (states, edges)
    assert ends and all(not end.pir and not end.virr and not end.visr for end in ends)


@pytest.mark.parametrize("name", list(SIZES))
def test_a_state_packs_into_62_bits_and_comes_back_whole(name: str) -> None:
    search = explored(name)
    world = make(name, "")
    assert max(search.keys) < 1 << 62
    for key in search.keys[:: max(1, len(search.keys) // 2000)]:
        world.load(key)
        assert world.key() == key


def test_a_path_is_one_that_the_world_can_take(blocking: Search) -> None:
    """Each state of a path follows from the one before by one move of one agent."""
    path = path_to(blocking, len(blocking.keys) - 1)
    world = make("post-while-blocking", "")
    world.reset()
    for taken in path.steps:
        assert world.move(taken.agent) == taken.rule
    assert world.fields() == path.last and len(path.steps) == blocking.longest()
