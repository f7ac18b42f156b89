"""Writes the documents that are made from the code, and checks the links of all of them.

Usage: python -m scripts.documents [--check]. With --check nothing is written, and the exit status is 1 when one is not
what it would be. It is 1 as well when a link leads nowhere; addresses on the web are not tried.
"""
