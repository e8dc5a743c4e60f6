"""Looking into single objects in a process of its own: what is hostile there can only kill that."""
