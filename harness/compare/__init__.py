"""Zone: which arm of a sweep is better, by how much, and how sure that is."""
