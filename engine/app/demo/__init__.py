"""A demonstration: an engine in a temporary directory, and a sender of made-up studies."""
