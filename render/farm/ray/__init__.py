"""All that knows Ray: a farm of actors on its cluster, and jobs that are handed to its server.

Decides nothing about chunks, retries or numbers of workers. Ray's environment is set here, before it is imported.
Read ``farm``, ``entry`` and ``resources`` first, then ``connection``, ``losses`` and ``metrics``; ``submission`` and
``package`` last.
"""

import os

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a render farm tells no one what it does
os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")  # stdout is ours: Ray prints a paragraph for every dead worker
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # Ray's coming default; unset, it warns at every start
