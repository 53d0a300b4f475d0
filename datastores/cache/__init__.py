"""Values worth keeping for a while, never the truth: a lost cache costs time and nothing else."""
