"""Zone: one run of one candidate. The referee's clock, its seeds, the gate to the data, taking the artefact."""
