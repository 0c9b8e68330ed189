"""Zone: agents that talk to a model's API, with tools of ours."""
