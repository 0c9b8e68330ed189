"""Who proposes edits. One file and one conf/agent/*.yaml each; docs/agents.md says how to write another."""
