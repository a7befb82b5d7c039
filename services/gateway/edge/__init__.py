"""What all transports and REST share: admission, host and origin, identity, quotas, unsent bytes."""
