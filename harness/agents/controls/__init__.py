"""Zone: proposers without a model (random, optuna, replay): what an agent must beat."""
