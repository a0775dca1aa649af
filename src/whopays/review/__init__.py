"""Passages worth a person's time, picked and written for an annotation tool; and the answers read back."""
