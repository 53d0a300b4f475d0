"""The domain's only persistence code: synchronous functions of a `Connection`, in bulk, on any dialect."""
