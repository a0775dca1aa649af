"""A collection of files -> results, whatever the files and the machine do: engines, ledger, resume."""
