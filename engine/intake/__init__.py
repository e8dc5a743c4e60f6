"""One object's way in: from the received bytes to its final file, in a straight line."""
