"""Demand: what operations and answers cost, by `@cost` and `@listSize`, and whether they may."""
