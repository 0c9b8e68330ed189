"""Zone: the record. The chain of rows, what they say, the git repository beside them; nobody else writes either."""
