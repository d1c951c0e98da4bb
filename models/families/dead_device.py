"""After which errors an accelerator answers nothing more in this process. Importable without torch."""

from __future__ import annotations

MEMORY = "OutOfMemoryError"  # what no memory was left for: the device is well
DEAD = ("AcceleratorError", "CudaError", "DeferredCudaCallError")
SAID = ("CUDA error:", "HIP error:", "CUDNN_STATUS_EXECUTION_FAILED", "CUDNN_STATUS_INTERNAL_ERROR")


def is_dead(error: BaseException | None) -> bool:
    """Whether `error`, or what it was raised from, means that the process has lost its device.

    An illegal access, a failed launch or a memory error (ECC) stays with the context: whatever the process does next
    fails likewise, also for titles that have nothing to do with it. Only a new process gets a new context.
    """
    seen = set[int]()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        name, text = type(error).__name__, str(error)
        if name != MEMORY and (
            name in DEAD or (isinstance(error, RuntimeError) and any(said in text for said in SAID))
        ):
            return True
        error = error.__cause__ or error.__context__
    return False
