"""FHIR at the door: bytes in, checked resources with their exact source text out. Knows no store."""
