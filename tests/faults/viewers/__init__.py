"""The auditor's clients: every transport that a browser may use, cheap enough to run hundreds of them."""
