"""The referee's half of the sandbox: what the launcher is told, what it reports, and what that is worth."""
