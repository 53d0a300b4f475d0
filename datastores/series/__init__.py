"""Numbers over time: samples by series and moment, and what they come to by minute, hour and day."""
