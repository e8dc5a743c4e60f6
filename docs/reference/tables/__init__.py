"""The drawn tables of the documents: each function returns the text of one, from the code."""
