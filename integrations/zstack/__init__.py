"""ZStack Cloud: settings, wire form and client."""
