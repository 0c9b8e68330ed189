"""Zone: composition. With sweep/, the only modules that know Hydra."""
