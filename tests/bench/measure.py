"""What the machine and the processes of a system spend, read from /proc."""

import os

TICKS = os.sysconf("SC_CLK_TCK")


def _stat(pid):
    """(parent, CPU ticks of it and of the children it has reaped), or None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[1]), sum(int(value) for value in fields[11:15])


def tree(root):
    """`root` and all its living descendants: {pid: ticks}."""
    stats = {int(name): _stat(name) for name in os.listdir("/proc") if name.isdigit()}
    found = {root}
    grown = True
    while grown:
        grown = False
        for pid, stat in stats.items():
            if stat and pid not in found and stat[0] in found:
                found.add(pid)
                grown = True
    return {pid: stats[pid][1] for pid in found if stats.get(pid)}


def cpu_seconds(root):
    """A child that ends moves its time to its parent: nothing is lost or counted twice."""
    return sum(tree(root).values()) / TICKS


def busy_seconds():
    """All processors, idle and waiting for disk left out."""
    with open("/proc/stat", encoding="ascii") as file:
        fields = [int(value) for value in file.readline().split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / TICKS


def memory_kib(root):
    """(resident, proportional share) of all processes of a system, in KiB."""
    rss = pss = 0
    for pid in tree(root):
        try:
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
                for line in file:
                    if line.startswith("Rss:"):
                        rss += int(line.split()[1])
                    elif line.startswith("Pss:"):
                        pss += int(line.split()[1])
        except OSError:
            continue
    return rss, pss


def file_system(path):
    """The type of the file system that holds `path`."""
    best = ("", "unknown")
    real = os.path.realpath(path)
    with open("/proc/mounts", encoding="utf-8", errors="replace") as file:
        for line in file:
            point, kind = line.split()[1:3]
            inside = real == point or real.startswith(point.rstrip("/") + "/")
            if inside and len(point) >= len(best[0]):
                best = (point, kind)
    return best[1]
