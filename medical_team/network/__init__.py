"""Every connection of this package to a server: is it on this machine, through which proxy, and by which client.

The rule is one. What goes to this machine's own loopback goes through no proxy, whatever the environment says. What
goes further takes the environment's proxy, which is named before the first note leaves. No redirect is followed, since
it could lead notes anywhere. :mod:`.clients` makes the clients and needs httpx; the rest keeps to the standard library
and Python 3.10, for the engines that have nothing else.
"""
