"""Who may import whom. This is the only place where it is written down; ARCHITECTURE.md is held against it."""

# A floor may always import itself and exitless.errors.
MAY_IMPORT: dict[str, frozenset[str]] = {
    "bits": frozenset(),
    "vocab": frozenset(),
    "arch": frozenset({"bits", "vocab"}),
    "mech": frozenset({"arch", "bits", "vocab"}),
    "record": frozenset({"vocab", "bits"}),
    "sim": frozenset({"mech", "arch", "record", "vocab", "bits"}),
    "check": frozenset({"mech", "arch", "record", "vocab", "bits"}),
    "traces": frozenset({"record", "vocab", "bits"}),
    "study": frozenset({"record", "vocab", "bits"}),
    "judge": frozenset({"arch", "record", "vocab", "bits"}),
    "view": frozenset({"study", "record", "vocab", "bits", "version"}),
    "scenario": frozenset({"sim", "mech", "arch", "record", "vocab", "bits", "version"}),
    "cli": frozenset(
        {
            "scenario",
            "view",
            "study",
            "judge",
            "traces",
            "check",
            "sim",
            "mech",
            "arch",
            "record",
            "vocab",
            "bits",
            "version",
        }
    ),
    "errors": frozenset(),
    "version": frozenset({"bits"}),
    "__init__": frozenset({"version", "scenario", "view"}),
    "__main__": frozenset({"cli"}),
}

# Modules outside the standard library, and the floors that may import them when they are imported themselves.
COMPILED_FLOORS = frozenset({"bits", "vocab", "arch", "mech", "record", "sim", "check"})
OUTSIDE: dict[str, frozenset[str]] = {
    "librt": COMPILED_FLOORS | {"scenario", "study", "judge", "traces", "cli"},
    "mypy_extensions": COMPILED_FLOORS | {"scenario", "study", "judge", "traces", "cli"},
    "msgspec": frozenset({"scenario", "study", "traces", "cli"}),
    "rich": frozenset({"view", "cli"}),
}

# Extras: only inside a function, so that Exitless runs without them.
EXTRAS: dict[str, frozenset[str]] = {
    "zstandard": frozenset({"traces"}),
    "simpy": frozenset({"cli"}),
}

# All that arch may import from outside the package: names, so that nothing impure comes in by the same door.
ARCH_IMPORTS = frozenset({"typing.Final", "librt.vecs.vec", "mypy_extensions.i64"})
