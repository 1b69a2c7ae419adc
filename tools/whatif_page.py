"""Returns docs/whatif.md: what ``exitless whatif`` reasons by, from the tables of its rules (``make pages``)."""

from exitless.study.cites import reference
from exitless.study.whatif_rules import ADDITIONS, RULES, Addition, Rule
from exitless.study.whatif_words import BRINGS, MECHANISMS, SAYS, SVM_WORDS, VMX_WORDS

TEXT = """# What if

`exitless whatif TRACE|TABLE --enable NAMES [--disable NAMES]` predicts the exits and their time under other
mechanisms. It takes a recording or a record, judged exit by exit, or a pasted table, judged row by row: `perf kvm
stat`, `perf stat -e kvm:*`, `kvm_stat`, `kvmexit`, a count of xentrace records or of tracepoints, any list of exits
with their counts (also rounded to k or M, or as shares of a total), cycles of kvm-unit-tests' `vmexit`; `-` is
standard input. How good that is against published pairs, simulations and recordings:
[whatif-score.md](whatif-score.md).

## How it reasons

1. **Why did each exit happen?** A reason is too coarse: a write of an MSR may end an interrupt, send one or set a
   timer. So each exit gets a *class* (below). In a recording the events around it tell the class; it is exact. In a
   table other rows narrow it (interrupts injected, ends, IPIs); where nothing does, the shares are guesses with wide
   ends, and the output says so.
2. **Would it happen?** For each mechanism, in the order of the table below, the first rule that fits class and way
   (by the APIC's *page*, an *msr*, or a *trap* after the write) decides: the exit goes, stays, or becomes another
   exit.
3. **What comes in?** Some mechanisms add exits; so does switching one off.
4. **How sure is it?** *certain*: the manual leaves no choice. *usual*: known hypervisors do it so. *guess*: the file
   cannot tell what a rule does, or to which of a row's exits. Least and most of a row add up the ends of its parts; the
   total's interval adds the rows' where they
   can err together. What stays moves by 6 % between two runs of one load, and a guest that saves time may do up to a
   quarter more in the same time (hackbench with KVM's fast path, published: 11 % and 23 %); most and, when something
   is switched off, least hold that. They hold no two runs of other lengths or loads.
5. **Time.** An exit of a class takes as long as its class took on average before. What a mechanism adds to the
   processor's own work is not in it, and neither is that a faster guest does more.

A mechanism that the file shows at work already is said so, and enabling it again changes nothing.
"""


def share(keep: tuple[float, float, float]) -> str:
    """Print how many exits there are afterwards for each one before."""
    low, likely, high = keep
    return f"{likely:g}" if low == high else f"{likely:g} ({low:g} to {high:g})"


def called(word: str) -> str:
    """Name an exit as Intel's and AMD's are called."""
    if word == "software":
        return "an exit by the APIC's page or an MSR, as the guest does it"
    return " or ".join(f"`{name}`" for name in dict.fromkeys((getattr(VMX_WORDS, word), getattr(SVM_WORDS, word))))


def fate(rule: Rule) -> str:
    """Say what becomes of an exit."""
    if rule.keep == (0.0, 0.0, 0.0):
        return "goes"
    becomes = f", as {called(rule.to)}" if rule.to else ""
    return ("stays" if rule.keep == (1.0, 1.0, 1.0) else share(rule.keep)) + becomes


def rule_row(rule: Rule) -> str:
    """Print a rule."""
    classes = "; ".join(SAYS[cls] for cls in rule.classes)
    return f"| {classes} | {rule.way or 'any'} | {fate(rule)} | {rule.sure} | {rule.says} | {reference(rule.cites)} |"


def addition_row(entry: Addition) -> str:
    """Print what comes in."""
    of = {
        "upcalls": "callback of Xen's", "upcalls_lapic": "upcall by a vector",
        "virtual": "interrupt the processor delivered",
        "posted_running": "interrupt posted to a running vCPU", "spared": "EOI left in memory",
    }[entry.counter]  # fmt: skip
    return (
        f"| each {of} | {'on' if entry.on else 'off'} | {share(entry.keep)} of {called(entry.to)} | {entry.sure} "
        f"| {entry.says} | {reference(entry.cites)} |"
    )


def whatif_page() -> str:
    """Return docs/whatif.md without its first line."""
    lines = [TEXT, "## Mechanisms", ""]
    for name, says in MECHANISMS.items():
        brings = f" Brings {', '.join(f'`{one}`' for one in BRINGS[name])}." if name in BRINGS else ""
        lines += [f"### {name}", "", f"{says[0].upper()}{says[1:]}.{brings}", ""]
        for on in (True, False):
            rules = [rule for rule in RULES if rule.mechanism == name and rule.on == on]
            if rules:
                lines += [
                    f"Switched {'on' if on else 'off'}:", "",
                    "| exits | reached by | each | sure | because | see |", "| --- | --- | --- | --- | --- | --- |",
                    *map(rule_row, rules), "",
                ]  # fmt: skip
        comes = [entry for entry in ADDITIONS if entry.mechanism == name]
        if comes:
            lines += [
                "Comes in:", "",
                "| for | when | exits | sure | because | see |", "| --- | --- | --- | --- | --- | --- |",
                *map(addition_row, comes), "",
            ]  # fmt: skip
    lines += ["## Classes of exits", "", "| class | exits |", "| --- | --- |"]
    lines += [f"| `{cls}` | {says} |" for cls, says in SAYS.items()]
    return "\n".join(lines) + "\n"
