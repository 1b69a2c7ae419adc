"""A second, slow I/O APIC: a pin is a record of named fields, and what waits to be sent is a list."""


class NaivePin:
    """One pin and its redirection entry."""

    def __init__(self) -> None:
        self.vector = self.mode = self.logical = self.low_active = self.level_triggered = 0
        self.masked, self.remote_irr, self.high_word = True, False, 0
        self.line = 0

    def active(self) -> bool:
        """The line is at its active level."""
        return self.line == (0 if self.low_active else 1)

    def level(self) -> bool:
        """The pin is level triggered; only fixed and lowest priority can be."""
        return bool(self.level_triggered) and self.mode in (0, 1)

    def low(self, waiting: bool) -> int:
        """Bits 31:0 of the entry."""
        flags = {8: self.mode, 11: self.logical, 12: waiting, 13: self.low_active, 14: self.remote_irr}
        flags |= {15: self.level_triggered, 16: self.masked}
        return self.vector + sum(int(value) << bit for bit, value in flags.items())


class NaiveIoApic:
    """Pins, and the numbers of those whose message waits."""

    def __init__(self, pins: int) -> None:
        self.pins = [NaivePin() for _ in range(pins)]
        self.waiting: list[int] = []

    def ask(self, number: int) -> str:
        """A pin wants to send."""
        pin = self.pins[number]
        if pin.masked:
            return "masked"
        if number in self.waiting or (pin.level() and pin.remote_irr):
            return "merged"
        self.waiting.append(number)
        return "send"

    def line(self, number: int, level: int) -> str:
        """A line changes, or is driven again."""
        pin = self.pins[number]
        was = pin.active()
        pin.line = level
        if pin.active() and (pin.level() or not was):
            return self.ask(number)
        return "nothing"

    def sent(self, number: int) -> None:
        """The message has been accepted."""
        self.waiting.remove(number)
        if self.pins[number].level():
            self.pins[number].remote_irr = True

    def eoi(self, vector: int) -> int:
        """The end of a vector; every level pin with it that waits for it may ask again."""
        ended = [n for n, p in enumerate(self.pins) if p.vector == vector and p.level() and p.remote_irr]
        for number in ended:
            self.pins[number].remote_irr = False
            if self.pins[number].active():
                self.ask(number)
        return len(ended)

    def write_low(self, number: int, value: int) -> None:
        """Software writes the low half of an entry."""
        pin = self.pins[number]
        pin.vector, pin.mode, pin.logical = value & 0xFF, value >> 8 & 7, value >> 11 & 1
        pin.low_active, pin.level_triggered, pin.masked = value >> 13 & 1, value >> 15 & 1, bool(value >> 16 & 1)
        if not pin.level_triggered:
            pin.remote_irr = False
        if pin.masked:
            self.waiting = [n for n in self.waiting if n != number]
        elif pin.level() and pin.active():
            self.ask(number)
