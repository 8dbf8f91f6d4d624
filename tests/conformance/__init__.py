"""Autobahn's cases (PyPI's ``kosoku``) against our WebSocket server, and our WebSocket client on both drivers."""
