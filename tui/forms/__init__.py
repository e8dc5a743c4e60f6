"""Forms as plain values and rules; drawn by screens, tested without Textual."""
