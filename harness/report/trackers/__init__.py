"""Zone: trackers that work in a process of their own beside the session, and read its ledger."""
