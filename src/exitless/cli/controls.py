"""The workbench's control row: what each control may be, and which lines of a scenario it changes."""

from typing import Any, Final, NamedTuple

from exitless.bits import units
from exitless.errors import ScenarioError
from exitless.scenario import Scenario, near, preset_names, quantity

NONE: Final = "none"


class Control(NamedTuple):
    """One control: its name, what the page calls it, its range and its unit."""

    key: str
    says: str
    low: int
    high: int
    unit: str


CONTROLS: Final = (
    Control("load", "load", 1, 100, "%"),
    Control("rate", "link rate", 1, 100, "Gbit/s"),
    Control("frame", "frame", 64, 9216, "B"),
    Control("moderation", "moderation", 0, 500, "µs"),
    Control("vcpus", "vCPUs", 1, 8, ""),
    Control("pcpus", "pCPUs", 1, 16, ""),
    Control("pin", "pin", 0, 15, ""),
)
OF_NIC: Final = ("load", "rate", "frame", "moderation")
OF_GUEST: Final = ("vcpus", "pin")


def nic_of(scenario: Scenario) -> int:
    """Return the place of the first NIC among the devices, -1 when there is none."""
    return next((n for n, device in enumerate(scenario.device) if device.kind == "nic"), -1)


def guest_of(scenario: Scenario) -> int:
    """Return the place of the guest among the domains: the NIC's owner, else the first hvm one, -1 for none."""
    nic = nic_of(scenario)
    owner = scenario.device[nic].owner if nic >= 0 else ""
    named = next((n for n, vm in enumerate(scenario.vm) if vm.name == owner), -1)
    return named if named >= 0 else next((n for n, vm in enumerate(scenario.vm) if vm.kind == "hvm"), -1)


def values_of(scenario: Scenario) -> dict[str, Any]:
    """Return what each control stands at; a control that the scenario has no use for is left out."""
    out: dict[str, Any] = {"pcpus": scenario.host.pcpus, "costs": scenario.host.costs}
    nic, guest = nic_of(scenario), guest_of(scenario)
    if nic >= 0:
        device = scenario.device[nic]
        out["load"] = device.load
        out["rate"] = quantity(units.parse_rate_bps, device.rate, f"device[{nic}].rate") / 10**9
        out["frame"] = quantity(units.parse_size_bytes, device.frame, f"device[{nic}].frame")
        out["moderation"] = quantity(units.parse_time_ps, device.moderation, f"device[{nic}].moderation") / 10**6
    if guest >= 0:
        vm = scenario.vm[guest]
        out["vcpus"] = vm.vcpus
        out["pin"] = vm.pin[0] if vm.pin else NONE
    return {k: int(v) if isinstance(v, float) and v == int(v) else v for k, v in out.items()}


def limits() -> dict[str, list[Any]]:
    """Return every control's range and unit for the page."""
    return {c.key: [c.low, c.high, c.unit] for c in CONTROLS}


def checked(key: str, value: Any, here: dict[str, Any]) -> Any:
    """Return a control's new value. Errors: ScenarioError in one sentence that names the range."""
    if key == "costs":
        if value not in (*preset_names(), here["costs"]):
            raise ScenarioError(f'costs: there is no cost table "{str(value)[:40]}"{near(str(value), preset_names())}')
        return value
    control = next((c for c in CONTROLS if c.key == key), None)
    if control is None or key not in here:
        raise ScenarioError(f'there is no control "{str(key)[:40]}" for this scenario')
    if key == "pin" and value == NONE:
        return value
    low, high = control.low, control.high
    unit = f" {control.unit}" if control.unit else ""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ScenarioError(f"{control.says} must be a whole number from {low} to {high}{unit}; got {str(value)[:40]}")
    return value


def assignments(scenario: Scenario, changes: dict[str, Any]) -> list[str]:
    """Return the changes as ``--set`` takes them; pins follow the number of pCPUs. Errors: ScenarioError."""
    here = values_of(scenario)
    new = {key: checked(key, value, here) for key, value in changes.items()}
    new = {key: value for key, value in new.items() if value != here[key]}
    out = []
    nic, guest = nic_of(scenario), guest_of(scenario)
    pcpus = new.get("pcpus", scenario.host.pcpus)
    if "pcpus" in new:
        out.append(f"host.pcpus={pcpus}")
    if "costs" in new:
        out.append(f'host.costs="{new["costs"]}"')
    for key, form in (("load", "{}"), ("rate", '"{} Gbit/s"'), ("frame", '"{} B"'), ("moderation", '"{} us"')):
        if key in new:
            out.append(f"device[{nic}].{key}={form.format(new[key])}")
    for n, vm in enumerate(scenario.vm):
        count, pin = vm.vcpus, list(vm.pin)
        if n == guest:
            count = new.get("vcpus", count)
            first = new.get("pin", pin[0] if pin else NONE)
            if "pin" in new and first != NONE and first >= pcpus:
                raise ScenarioError(f"pin must be a pCPU from 0 to {pcpus - 1}; got {first}")
            if count != vm.vcpus or "pin" in new:
                pin = [] if first == NONE else [(first + i) % pcpus for i in range(count)]
        pin = [p % pcpus for p in pin]
        if count != vm.vcpus:
            out.append(f"vm[{n}].vcpus={count}")
        if pin != vm.pin:
            out.append(f"vm[{n}].pin={pin}")
    for n, device in enumerate(scenario.device):
        if any(p >= pcpus for p in device.pcpus):
            out.append(f"device[{n}].pcpus={[p % pcpus for p in device.pcpus]}")
    return out
