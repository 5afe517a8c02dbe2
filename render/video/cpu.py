"""What Linux says of this machine's processor; encoders and plans go by its flags."""

from pathlib import Path

__all__ = ["cpu_info"]


def cpu_info() -> dict[str, str]:
    """The first processor's entries of /proc/cpuinfo, ``flags`` among them; empty where there is no /proc."""
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}
