"""Zone: the loop. Names protocols only, no concrete agent, executor, guard or tracker."""
