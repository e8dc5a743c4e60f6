"""Power cuts and storage faults: every state they may leave, and whether the engine recovers."""
