"""The deployment's files, tried for real: the load balancer, the compose file, the alert rules, the dashboard."""
