"""What the numbers were measured on, and whether it was quiet."""
import datetime
import os
import platform
import subprocess

# A load of this much means that somebody else is computing.
QUIET_LOAD = 0.5
# A floor that moves by more has been disturbed.
QUIET_SPREAD = 0.15


def first_line(*command, cwd=None):
    """Of what the command prints; empty if it cannot be run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=cwd)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.splitlines()[0].strip() if done.stdout else ""


def _processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def describe(root):
    """[(what, value)] of this machine and of the tree that is measured."""
    changed = " and changes" if first_line("git", "status", "--porcelain", "--untracked-files=no", cwd=root) else ""
    return [
        ("processor", "%s, %d CPUs" % (_processor(), os.cpu_count())),
        ("kernel", platform.release()),
        ("compiler", first_line("clang-19", "--version")),
        ("flags", "-O3, no frame pointers; -march=native for the leaves of matmul only, shared by all in C++"),
        ("date", datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")),
        ("commit", first_line("git", "rev-parse", "--short=12", "HEAD", cwd=root) + changed),
    ]


def load_warnings():
    load = os.getloadavg()[0]
    if load > QUIET_LOAD:
        yield "the load was %.2f before the start: somebody else was computing" % load


def pin_to_first_two():
    """Keeps this process, and all that it starts, on two processors. A sentence if there are not two."""
    processors = sorted(os.sched_getaffinity(0))[:2]
    os.sched_setaffinity(0, processors)
    if len(processors) < 2:
        yield "there is only one processor: what is said of two carriers means nothing"
