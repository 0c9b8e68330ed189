"""Zone: Weights & Biases, in a process of its own: what it prints, breaks or waits for is nothing to a session."""
