"""The vocabulary of the Federation specifications: directives, links and versions, field sets."""
