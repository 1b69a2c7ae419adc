"""A second model of unmask-while-sending: a state is a set of words and the names of three places.

Written apart from the package, from Xen's event_2l.c and Linux's events_2l.c: names for places, sets for bits.
"""

from collections.abc import Iterator

State = tuple[frozenset[str], str, str, str, int, int, int]

# Bits: pending, masked, selector, upcall, copy, kick, owed. Places of vCPU 0, sender, vCPU 1. Sends, sections, remotes.
START: State = (frozenset(), "run", "idle", "idle", 2, 2, 1)


def raising(bits: set[str], place: str, owes: bool) -> str:
    """One step of a raise or of the end of an unmasking hypercall; returns the next place."""
    if place == "set":
        done = "pending" in bits
        bits |= {"pending", "owed"} if owes else {"pending"}
        return "idle" if done else "read"
    if place == "read":
        return "idle" if "masked" in bits else "select"
    if place == "select":
        done = "selector" in bits
        bits.add("selector")
        return "idle" if done else "mark"
    if "upcall" not in bits:
        bits |= {"upcall", "kick"}
    return "idle"


def hypercall(bits: set[str], place: str) -> str:
    """One step of EVTCHNOP_unmask; returns the next place, "idle" at its end."""
    if place == "clear":
        was = "masked" in bits
        bits.discard("masked")
        return "look" if was else "idle"
    if place == "look":
        return "select" if "pending" in bits else "idle"
    return raising(bits, place, False)


def guest(bits: set[str], place: str) -> str:
    """One step of vCPU 0 in its upcall or between masking and unmasking; returns the next place."""
    if place == "upcall":
        bits.discard("upcall")
        return "take"
    if place == "take":
        bits.discard("copy")
        if "selector" in bits:
            bits.add("copy")
        bits.discard("selector")
        return "scan"
    if place == "scan":
        active = "copy" in bits and "pending" in bits and "masked" not in bits
        bits.discard("copy")
        return "ack" if active else "again"
    if place == "ack":
        bits.discard("pending")
        return "handle"
    if place == "handle":
        bits.discard("owed")
        return "again"
    if place == "again":
        return "upcall" if "upcall" in bits else "run"
    if place == "unmask":
        bits.discard("masked")
        return "test"
    if place == "test":
        return "remask" if "pending" in bits else "run"
    if place == "remask":
        bits.add("masked")
        return "h-clear"
    then = hypercall(bits, place[2:])
    if then != "idle":
        return "h-" + then
    if "upcall" in bits:
        bits.add("kick")
    return "run"


def in_section(place: str) -> bool:
    """vCPU 0 holds the guest's lock of the port."""
    return place in ("unmask", "test", "remask") or place.startswith("h-")


def following(state: State) -> Iterator[State]:
    """Every state that one agent's step leads to."""
    kept, here, sender, there, sends, sections, remotes = state
    bits = set(kept)
    if here != "run":
        then = guest(bits, here)
        yield frozenset(bits), then, sender, there, sends, sections, remotes
    elif sections and there == "idle":
        yield kept | {"masked"}, "unmask", sender, there, sends, sections - 1, remotes
    if sends:
        bits = set(kept)
        after = raising(bits, "set" if sender == "idle" else sender, True)
        yield frozenset(bits), here, after, there, sends - (after == "idle"), sections, remotes
    if there != "idle":
        yield step_there(set(kept), state)
    elif remotes and not in_section(here):
        yield kept | {"masked"}, here, sender, "clear", sends, sections, remotes - 1
    if "kick" in kept and here == "run":
        yield kept - {"kick"}, "upcall" if "upcall" in kept else "run", sender, there, sends, sections, remotes


def step_there(bits: set[str], state: State) -> State:
    """VCPU 1's next step of its hypercall."""
    _, here, sender, there, sends, sections, remotes = state
    then = hypercall(bits, there)
    return frozenset(bits), here, sender, then, sends, sections, remotes


def count() -> tuple[int, int, list[State]]:
    """Search depth first. Returns: states, edges, and the states that lead nowhere."""
    seen, stack, edges, ends = {START}, [START], 0, []
    while stack:
        current = stack.pop()
        after = list(following(current))
        edges += len(after)
        if not after:
            ends.append(current)
        for state in after:
            if state not in seen:
                seen.add(state)
                stack.append(state)
    return len(seen), edges, ends
