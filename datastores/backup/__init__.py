"""Backups: sealed chunks in any blob store, a catalogue of what was done, and keys kept apart in a safe."""
