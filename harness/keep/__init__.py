"""Rules that keep or discard a proposal: pure, over losses alone (lower is better), one step at a time."""
