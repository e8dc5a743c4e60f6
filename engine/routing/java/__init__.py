"""Java 17's regular expressions, translated to the `regex` package, version 1.

Read `regex` first.
"""
