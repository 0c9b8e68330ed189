"""Zone: the referee's side of a sandbox. Plans, users, devices, measuring what a level is worth, cleaning up."""
