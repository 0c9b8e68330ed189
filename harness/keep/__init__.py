"""Zone: the statistics of keeping. Pure numbers: no file, no process, no clock."""
