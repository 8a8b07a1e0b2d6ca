"""Where runs are made: how wide a block is, how many blocks the memory holds, this process, workers, the processes of a pod."""

from jaxscale.lazy import lazily

_PUBLIC = {
    "Bucket": "jaxscale.engine.place.bucket",
    "Runner": "jaxscale.engine.place.bucket",
    "Local": "jaxscale.engine.place.local",
    "Workers": "jaxscale.engine.place.workers",
    "choose_width": "jaxscale.engine.place.width",
}
__all__ = list(_PUBLIC)
__getattr__, __dir__ = lazily(__name__, _PUBLIC)
