"""Bytes of a device or an app in, one `ImportedFile` out; pure, no store, no clock."""
