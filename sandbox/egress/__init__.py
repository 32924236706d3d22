"""The only way out of a sandbox: the hosts its profile lists, through one socket.

rules          what may be reached, and at which addresses
messages       heads of HTTP/1.1, read strictly
hello          the name in the first message of TLS
ranges         what is not public and may be where an exact name leads
outside        resolve, judge, connect to what was judged
credentials    headers added outside, and the authority that lets the gateway into TLS
mask           keeping what was added out of answers
flow, bounds   moving bytes; sizes and times
conversation   one connection
ways           how programs inside get to the gateway
gateway        the whole for one sandbox
"""

from sandbox.egress.bounds import Bounds
from sandbox.egress.gateway import INSIDE, SOCKET, Gateway
from sandbox.egress.outside import Outside
from sandbox.egress.ranges import Ranges

__all__ = ["INSIDE", "SOCKET", "Bounds", "Gateway", "Outside", "Ranges"]
