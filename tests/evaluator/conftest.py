"""Small models and a bench to score them on."""

from scoring_bench import bench, local_referee, model

__all__ = ["bench", "local_referee", "model"]
