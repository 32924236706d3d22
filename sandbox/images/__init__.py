"""The file system of container sandboxes: one made here from the distribution's packages, or a
named one.

Building needs `apt` and no registry; nothing of a package is run, and nothing of this host gets in.
"""

from sandbox.images.naming import LOCAL, Image, local_tag, named

__all__ = ["LOCAL", "Image", "local_tag", "named"]
