"""Drives a real `stadion up`, as a user's clients do."""
