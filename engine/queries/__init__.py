"""The implementation of `engine.api`: one file for each group of questions.

In: calls of the console, the commands or `engine.remote`, on any thread. Out: the frozen values of
`engine.api`.
"""
