"""Zone: the live page: a server on the loopback that reads ledgers, shows them to one person and writes nothing."""
