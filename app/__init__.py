"""Everything that touches the world: the log, the engine, payments, the web, the commands."""
