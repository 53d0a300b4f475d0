"""datastores.blobs."""
