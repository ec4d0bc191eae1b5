"""Records to columns without a Python object per event: Arrow reads the JSON, rules are checked on whole columns.

The contract is what `postloop.contracts` says; this package answers the same, sooner, and leaves every record that
it is not sure of to it (docs/decisions/0005-columnar-validation.md).
"""
