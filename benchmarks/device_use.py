"""What a program takes of an accelerator: memory, kernels, and the time between them."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

Row = dict[str, Any]


def memory() -> Row:
    """Bytes that this process took of the device at most; nothing where it does not count them."""
    stats = jax.local_devices()[0].memory_stats() or {}
    return {"device_peak_bytes": stats["peak_bytes_in_use"]} if stats else {}


def traced(call: Callable[[], Any]) -> Row:
    """What the device did during a call: kernels, how long they were, the time between them."""
    call()
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        with jax.profiler.trace(folder):
            call()
        wall_s = time.perf_counter() - begun
        (file,) = Path(folder).rglob("*.xplane.pb")
        profile = jax.profiler.ProfileData.from_file(str(file))
    kernels: dict[str, list[float]] = {}
    spans = []
    for plane in profile.planes:
        if not plane.name.startswith("/device:GPU"):
            continue
        for line in plane.lines:
            if not line.name.startswith("Stream"):
                continue
            for event in line.events:
                kernels.setdefault(event.name, []).append(event.duration_ns)
                spans.append((event.start_ns, event.start_ns + event.duration_ns))
    if not spans:
        return {"trace_wall_s": wall_s, "kernels": 0}
    busy_s = sum(sum(each) for each in kernels.values()) / 1e9
    span_s = (max(end for _, end in spans) - min(start for start, _ in spans)) / 1e9
    most = sorted(kernels.items(), key=lambda item: -sum(item[1]))[:12]
    return {
        "trace_wall_s": wall_s,
        "span_s": span_s,
        "kernels": len(spans),
        "busy_share": busy_s / span_s,
        "mean_kernel_us": busy_s / len(spans) * 1e6,
        "mean_gap_us": (span_s - busy_s) / len(spans) * 1e6,
        "most_time": [[name[:80], len(each), round(sum(each) / 1e6, 3)] for name, each in most],
    }
