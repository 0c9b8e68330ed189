"""Zone: what people are shown. Reads the ledger's record and changes nothing."""
