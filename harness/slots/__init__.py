"""Zone: where trials are made side by side: on this machine, in a queue, on a cluster. It knows no ledger rows."""
