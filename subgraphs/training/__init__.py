"""Training: activities from devices, files and by hand; their streams, laps, metrics and load.

Owns `Activity @key(id)`, laps, streams, metrics, thresholds and records. Extends `User @key(id)` with
`activities`, `load`, `thresholds`, `records`. Publishes `activity.added`,
`activity.changed` and `activity.deleted`.
Classes: TRAINING; positions are LOCATION, heart rate is WELLNESS.
"""
