"""The orders in which the agents of these worlds do their steps: the right ones, and by name the wrong ones."""

from librt.vecs import vec
from mypy_extensions import i64

from exitless.mech.procedures.block import rescanning_resume, xen_block, xen_resume, xen_wakeup
from exitless.mech.procedures.post import xen_post
from exitless.mech.procedures.procedure import Verb
from exitless.mech.procedures.process import process_posted


def block_program(mutation: str) -> vec[i64]:
    """Return Xen's order of blocking, or a wrong one."""
    if mutation == "check-before-nv":
        return vec[i64](
            [Verb.SET_BLOCKED, Verb.ENLIST, Verb.SYNC_ON, Verb.SYNC_PIR, Verb.TEST, Verb.NV_WAKEUP, Verb.SWITCH_OUT]
        )
    if mutation == "list-after-nv":
        return vec[i64](
            [Verb.SET_BLOCKED, Verb.NV_WAKEUP, Verb.SYNC_ON, Verb.SYNC_PIR, Verb.TEST, Verb.ENLIST, Verb.SWITCH_OUT]
        )
    if mutation == "list-between":
        return vec[i64](
            [Verb.SET_BLOCKED, Verb.NV_WAKEUP, Verb.ENLIST, Verb.SYNC_ON, Verb.SYNC_PIR, Verb.TEST, Verb.SWITCH_OUT]
        )
    if mutation == "no-self-check":
        return vec[i64]([Verb.SET_BLOCKED, Verb.ENLIST, Verb.NV_WAKEUP, Verb.SWITCH_OUT])
    if mutation == "scan-before-clear":
        return vec[i64](
            [Verb.SET_BLOCKED, Verb.ENLIST, Verb.NV_WAKEUP, Verb.SYNC_PIR, Verb.SYNC_ON, Verb.TEST, Verb.SWITCH_OUT]
        )
    if mutation == "never-listed":
        return vec[i64]([Verb.SET_BLOCKED, Verb.NV_WAKEUP, Verb.SYNC_ON, Verb.SYNC_PIR, Verb.TEST, Verb.SWITCH_OUT])
    if mutation == "suppress-while-blocked" or mutation == "sn-left-set":
        return vec[i64](
            [
                Verb.SET_BLOCKED, Verb.ENLIST, Verb.NV_WAKEUP, Verb.SYNC_ON, Verb.SYNC_PIR, Verb.TEST, Verb.SWITCH_OUT,
                Verb.SUPPRESS,
            ]
        )  # fmt: skip
    return xen_block()


def resume_program(mutation: str) -> vec[i64]:
    """Return Xen's order of entering, or a wrong one."""
    if mutation == "nv-not-restored":
        return vec[i64](
            [
                Verb.SWITCH_IN, Verb.CLEAR_SN, Verb.SYNC_ON, Verb.SYNC_PIR, Verb.WRITE_RVI, Verb.CLOSE, Verb.DELIST,
                Verb.ENTER,
            ]
        )  # fmt: skip
    if mutation == "rvi-not-written":
        return vec[i64](
            [
                Verb.SWITCH_IN, Verb.CLEAR_SN, Verb.SYNC_ON, Verb.SYNC_PIR, Verb.CLOSE, Verb.NV_NOTIFY, Verb.DELIST,
                Verb.ENTER,
            ]
        )  # fmt: skip
    if mutation == "sn-left-set":
        return vec[i64](
            [
                Verb.SWITCH_IN, Verb.SYNC_ON, Verb.SYNC_PIR, Verb.WRITE_RVI, Verb.CLOSE, Verb.NV_NOTIFY, Verb.DELIST,
                Verb.ENTER,
            ]
        )  # fmt: skip
    if mutation == "scan-before-clear":
        return vec[i64](
            [
                Verb.SWITCH_IN, Verb.CLEAR_SN, Verb.SYNC_PIR, Verb.SYNC_ON, Verb.WRITE_RVI, Verb.CLOSE, Verb.NV_NOTIFY,
                Verb.DELIST, Verb.ENTER,
            ]
        )  # fmt: skip
    return xen_resume()


def wakeup_program(mutation: str) -> vec[i64]:
    """Return Xen's wake-up handler, or one that does more."""
    if mutation == "wakeup-clears-on":
        return vec[i64]([Verb.WALK, Verb.WIPE_ON, Verb.WAKE])
    if mutation == "softirq-only-if-found":
        return vec[i64]([Verb.WALK, Verb.WAKE, Verb.LOOK_AGAIN])
    return xen_wakeup()


def process_program(mutation: str) -> vec[i64]:
    """Return the processor's order, or a wrong one."""
    if mutation == "scan-before-clear":
        return vec[i64]([Verb.TAKE_PIR, Verb.CLEAR_ON, Verb.RAISE_RVI])
    if mutation == "pir-wiped":
        return vec[i64]([Verb.CLEAR_ON, Verb.COPY_PIR, Verb.WIPE_PIR, Verb.RAISE_RVI])
    if mutation == "pir-kept":
        return vec[i64]([Verb.CLEAR_ON, Verb.COPY_PIR, Verb.RAISE_RVI])
    return process_posted()


def post_program(mutation: str) -> vec[i64]:
    """Return Xen's order of posting, or ON before PIR."""
    if mutation == "running-read-first":
        return vec[i64]([Verb.READ_RUNNING, Verb.SET_PIR, Verb.CLAIM_ON, Verb.UNBLOCK, Verb.NOTIFY])
    if mutation == "pir-after-on":
        return vec[i64]([Verb.CLAIM_ON, Verb.SET_PIR, Verb.READ_RUNNING, Verb.UNBLOCK, Verb.NOTIFY])
    return xen_post()


def switching_program(mutation: str) -> vec[i64]:
    """Return the order of switching in with the question that Xen's lacks, Xen's own, or a wrong one."""
    if mutation == "no-rescan":
        return xen_resume()
    if mutation == "rescan-before-clear":
        return vec[i64](
            [
                Verb.SWITCH_IN, Verb.RESCAN, Verb.CLEAR_SN, Verb.SYNC_ON, Verb.SYNC_PIR, Verb.WRITE_RVI, Verb.CLOSE,
                Verb.NV_NOTIFY, Verb.DELIST, Verb.ENTER,
            ]
        )  # fmt: skip
    if mutation == "sn-never-cleared":
        return vec[i64](
            [
                Verb.SWITCH_IN, Verb.SYNC_ON, Verb.SYNC_PIR, Verb.WRITE_RVI, Verb.CLOSE, Verb.NV_NOTIFY, Verb.DELIST,
                Verb.ENTER,
            ]
        )  # fmt: skip
    if mutation == "ndst-not-written":
        return vec[i64](
            [
                Verb.RUN_HERE, Verb.CLEAR_SN, Verb.RESCAN, Verb.SYNC_ON, Verb.SYNC_PIR, Verb.WRITE_RVI, Verb.CLOSE,
                Verb.NV_NOTIFY, Verb.DELIST, Verb.ENTER,
            ]
        )  # fmt: skip
    if mutation == "sync-before-switch":
        return vec[i64](
            [
                Verb.SYNC_ON, Verb.SYNC_PIR, Verb.SWITCH_IN, Verb.CLEAR_SN, Verb.RESCAN, Verb.WRITE_RVI, Verb.CLOSE,
                Verb.NV_NOTIFY, Verb.DELIST, Verb.ENTER,
            ]
        )  # fmt: skip
    return rescanning_resume()
