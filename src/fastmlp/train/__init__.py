"""The learning of networks: one loop over a source of rows, and what looks on or steps in."""
