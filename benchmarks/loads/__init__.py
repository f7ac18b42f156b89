"""The kinds of load, one file each."""
