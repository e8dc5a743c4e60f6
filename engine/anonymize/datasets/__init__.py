"""Data sets as scripts and profiles see them: elements, sequences, text, pixels.

Read `tree` first, then `reading` (element to text) and `writing` (text to element).
"""
