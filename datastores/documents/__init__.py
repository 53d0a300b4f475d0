"""Documents: records whose shape the domain decides, found by id or by typed filters."""
