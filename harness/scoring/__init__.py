"""Zone: scoring where the candidate is not. Labels, softmax and metric live here and never enter a sandbox."""
