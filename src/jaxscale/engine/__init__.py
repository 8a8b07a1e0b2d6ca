"""The engine: every run of a sweep, planned, packed, stored, resumed. It knows systems, and nothing of models or analysis.

    machine   what this computer has: devices, cores, memory, the cache of compiled programs
    ask       what is asked for: options, axes, seeds, the request they make, reductions over seeds
    run       how lanes run: one run as functions, a bucket's two programs, the loop over a cohort's segments
    keep      what is kept of them: recorders, pieces, reductions, the labelled result
    store     where it lies: a folder or the memory; manifests, checkpoints
    place     where runs are made: block widths, the memory plan, this process, workers, pods
    sweeping  `sweep` and `load`, which use all of the above
    forecast  what a sweep will take: plans for this machine, and for chips that are not here
    audit     what is done afterwards: verify, replay, extend, top up, merge

An option goes ask -> place -> run; a result comes run -> keep -> store -> Dataset. Rooms import those above them in this
list only.

Ten words, used as said here:
    run      one system from step 0 to its end, at one grid point, with one seed
    lane     a run's place on a device while it is stepped
    row      the index of a lane in a device's arrays
    slot     a place for a lane in a block; the last block's empty slots repeat a lane
    block    `width` lanes stepped together by one program
    bucket   the runs of one static point: one compiled program, one block width
    cohort   the lanes in flight at once
    segment  steps between two looks of the host; stopped lanes leave at its end
    piece    what some finished runs gave, as stored: immutable
    part     the i-th of n shares of a sweep, for as many processes
"""

from jaxscale.lazy import lazily

_PUBLIC = {
    "sweep": "jaxscale.engine.sweeping",
    "load": "jaxscale.engine.loading",
    "SweepOptions": "jaxscale.engine.ask.options",
    "plan": "jaxscale.engine.forecast.planning",
    "plan_topology": "jaxscale.engine.forecast.topology",
    "verify": "jaxscale.engine.audit.verification",
    "replay": "jaxscale.engine.audit.replaying",
    "final_state": "jaxscale.engine.audit.final",
    "check_reproducible": "jaxscale.engine.audit.reproducibility",
    "top_up": "jaxscale.engine.audit.growth",
    "extend": "jaxscale.engine.audit.growth",
    "merge": "jaxscale.engine.audit.growth",
    "StoreError": "jaxscale.engine.errors",
    "Event": "jaxscale.engine.events",
    "JsonLines": "jaxscale.engine.listeners",
    "OnCells": "jaxscale.engine.listeners",
    "RetraceWarning": "jaxscale.engine.run.executables",
    "use_all_cores": "jaxscale.engine.machine.devices",
}
__all__ = list(_PUBLIC)
__getattr__, __dir__ = lazily(__name__, _PUBLIC)
