"""Owns the client of MCP servers: configuration, connections, what they offer."""
