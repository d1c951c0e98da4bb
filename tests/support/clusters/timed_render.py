"""`render` with the stand-ins of the benchmarks, in the driver and in Ray's workers: steps of a fixed time."""

from __future__ import annotations

import sys

from benchmarks import stand_ins


def main(argv: list[str]) -> int:
    import ray

    from pipeline import render

    stand_ins.register()
    address = argv[argv.index("--address") + 1]
    hook = {"worker_process_setup_hook": stand_ins.SETUP_HOOK}
    ray.init(address=address, log_to_driver=False, logging_level="ERROR", runtime_env=hook)
    return render.run(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
