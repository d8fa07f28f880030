"""JAX's settings for training: one CPU device per core, and a compilation cache on disk."""

import contextlib
import os
import sys
import tempfile

from dream_jax.runs import host_memory

_JAX_MIN_COMPILE_TIME_S = 1.0  # JAX's default, of what is worth keeping


def cores() -> list[int]:
    """The CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def set_up_jax(cpu_devices: int) -> None:
    """Make `cpu_devices` CPU devices, and cache compiled programs in ~/.cache/dream_jax.

    Call this before JAX touches its devices. Once JAX is in use, its devices stay as they are.
    Settings of JAX that are not at their defaults also stay. Where the cache cannot be written,
    nothing is cached, and one line on stderr says so. With an accelerator the CPU devices are idle.
    """
    import jax

    host_memory.limit_arenas()
    by_flag = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if not by_flag and "JAX_NUM_CPU_DEVICES" not in os.environ:
        with contextlib.suppress(RuntimeError):  # JAX is in use already
            jax.config.update("jax_num_cpu_devices", cpu_devices)
    if not getattr(jax.config, "jax_compilation_cache_dir", None):
        base = os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))
        jax.config.update("jax_compilation_cache_dir", os.path.join(base, "dream_jax"))
    least = getattr(jax.config, "jax_persistent_cache_min_compile_time_secs", None)
    if least == _JAX_MIN_COMPILE_TIME_S:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    folder = getattr(jax.config, "jax_compilation_cache_dir", "")
    if getattr(jax.config, "jax_enable_compilation_cache", True) and not _can_keep_files(folder):
        print(f"compiled programs are not kept: cannot write to {folder}", file=sys.stderr)
        jax.config.update("jax_enable_compilation_cache", False)  # or each program would warn


def _can_keep_files(folder: str) -> bool:
    if "://" in folder:  # a bucket
        return True
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
