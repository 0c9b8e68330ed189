"""Everything that shows a session: derived from the ledger alone, so it can be made again at any time."""
