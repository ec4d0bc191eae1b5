"""The `postloop` command line: one module per noun."""
