"""The parts of an engine, each group built and connected in a module of its own."""
