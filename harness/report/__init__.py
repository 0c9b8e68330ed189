"""Zone: what people are shown. Reads the ledger's record and changes nothing.

A number comes from `SessionRecord` or, if it is not there, from `analysis.py`; views only write it.
"""
