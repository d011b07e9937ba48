"""hablemos: a self-hosted remote-sales contact centre."""
