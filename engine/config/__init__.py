"""Configuration on disk: TinyDB over an atomic file, and the watcher that notices changes."""
