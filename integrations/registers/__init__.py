"""Do-not-call registers that are asked over the network."""
