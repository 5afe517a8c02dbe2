"""Who renders which chunk, how many workers there are, what a failure means: events in, actions out.

Knows no clock, thread, process, disk or engine: the driver asks it and does what it says.
Read ``dispatcher.py`` first, then ``state``, ``assignment``, ``supervisor``, ``jobs``, ``autoscaler``, ``chunk_queue``.
"""
