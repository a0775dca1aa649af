"""Labelled passages: inline mark-up, JSON lines, compiling and checking a corpus."""
