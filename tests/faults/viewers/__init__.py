"""The auditor's clients: everything that a browser may use to see orders live, cheap enough to run hundreds of them."""
