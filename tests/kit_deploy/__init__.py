"""A whole deployment in a test: what fills its stores and reads them."""
