"""Zone: agents that are programs of their own (Claude Code, Codex), run in a sandbox behind a proxy."""
