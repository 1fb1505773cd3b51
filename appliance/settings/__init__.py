"""netty.toml: the settings, their units, defaults and limits."""
