"""What can be asked of the gateway: one file per resource."""
