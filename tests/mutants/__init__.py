"""Small faults put into the engine one by one, to see which of them no test notices.

`python -m tests.mutants map` runs the suite once and keeps which test runs which line;
`python -m tests.mutants run` makes the mutants and prints the score of each module.
Begin with `operators.py`: it says which faults are made.
"""
