"""Data directories of earlier versions, and what a later engine makes of them."""
