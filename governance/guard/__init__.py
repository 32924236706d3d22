"""The guard: bases that every REST view, admin class and socket is built on.

A base refuses what its subclass has not declared, so forgetting a permission closes a door.
"""
