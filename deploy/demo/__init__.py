"""The demo: six people, real files, and who may see what of one athlete."""
