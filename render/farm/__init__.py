"""Jobs in, films out: the driver, its dispatcher, workers in this process or over Ray, and each job's own steps.

Knows neither the command line nor how pictures are made: workers, and the planning they do, import the engine.
Read ``runner`` and ``job``, then ``driver``, ``base`` and ``dispatch/``, then ``worker``; ``local`` and ``ray/`` last.
"""
