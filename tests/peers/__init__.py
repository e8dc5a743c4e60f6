"""Scripted peers, everything they may send, and the engine that must survive them."""
