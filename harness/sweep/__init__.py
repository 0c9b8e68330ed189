"""Zone: many sessions from one command."""
