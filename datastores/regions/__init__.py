"""Regions: which region a person is at home in, known to every region, without telling who the person is."""
