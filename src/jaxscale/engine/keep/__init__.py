"""What is kept of runs: recorders, the pieces they give, the reductions over seeds, and the labelled result of many pieces."""

from jaxscale.lazy import lazily

_PUBLIC = {
    "RunsPiece": "jaxscale.engine.keep.pieces",
    "CellsPiece": "jaxscale.engine.keep.pieces",
    "Rows": "jaxscale.engine.keep.rows",
    "Moments": "jaxscale.engine.keep.moments",
}
__all__ = list(_PUBLIC)
__getattr__, __dir__ = lazily(__name__, _PUBLIC)
