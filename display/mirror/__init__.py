"""The mirror: visitors see themselves painted live, by a small network in a process of its own.

`FramePainter` owns the process and paints frames, `frame_route` is the WebSocket of a mirror, and `Stylizer` runs the
network.
"""
