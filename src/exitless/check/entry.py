"""What the catalogue says of a world: its question, its source, and the ways to break it on purpose."""


class Mutation:
    """One wrong order by name. ``breaks`` is what it is known for."""

    def __init__(self, name: str, says: str, breaks: str) -> None:
        self.name: str = name
        self.says: str = says
        self.breaks: str = breaks


class Entry:
    """A world by name: what it asks, where the protocol comes from, what to know about it, its mutations."""

    def __init__(self, name: str, says: str, cites: str, note: str, mutations: list[Mutation]) -> None:
        self.name: str = name
        self.says: str = says
        self.cites: str = cites
        self.note: str = note
        self.mutations: list[Mutation] = mutations

    def mutation_names(self) -> list[str]:
        """Return the names of the mutations."""
        return [m.name for m in self.mutations]
