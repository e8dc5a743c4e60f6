"""Can't be imported: what it needs is not installed."""

from dicomdock_example_needs import something  # type: ignore[import-not-found]

BrokenIdentifier = something
