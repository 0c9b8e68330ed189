"""Zone: the only starter of untrusted programs. Change here what confines a trial, a predictor or an agent's tools."""
