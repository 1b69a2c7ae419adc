"""The scenario ``many`` on a quarter and a half of its host, to see what an event costs as the host grows."""

from exitless.scenario import Scenario, load

QUARTERS = (1, 2, 4)
NAME = "many"


def part_of_many(quarters: int) -> Scenario:
    """Return ``many`` with so many quarters of its pCPUs, its vCPUs, and the disks of each of its guests."""
    scenario, _ = load(NAME)
    pcpus = scenario.host.pcpus * quarters // 4
    scenario.host.pcpus = pcpus
    for vm in scenario.vm:
        vm.vcpus = vm.vcpus * quarters // 4
        vm.pin = vm.pin[:pcpus]
    for device in scenario.device:
        if device.kind == "sas":
            device.ports, device.host_vectors = device.ports[:pcpus], device.host_vectors[:pcpus]
            device.pcpus = device.pcpus[:pcpus]
    rings = [device for device in scenario.device if device.kind == "vbd"]
    for number, device in enumerate(rings):
        count = len(device.ports) * quarters // 4
        device.ports, device.back_ports = device.ports[:count], device.back_ports[:count]
        device.disk_queues = list(range(number * count, (number + 1) * count))
    return scenario


def size_of(scenario: Scenario) -> str:
    """Say how large a host is."""
    rings = sum(len(device.ports) for device in scenario.device if device.kind == "vbd")
    return f"{sum(vm.vcpus for vm in scenario.vm)} vCPUs, {scenario.host.pcpus} pCPUs, {rings} disks"
