"""A self-test of one receiver: a marked object through the real listener, and out again."""
