"""How much arithmetic a step of training is, counted by hand, and what share of a machine's peak that is."""

from jaxscale.models.language.decoder import Decoder


def flops_per_token(network: Decoder) -> float:
    """Of a decoder with softmax attention, forward and backward: 6 N + 12 depth D T, N the parameters in matrices that are
    multiplied (embeddings are looked up), causality not taken off; of experts all, since all are computed.

    References:
      Kaplan et al. 2020, arXiv:2001.08361, section 2.1; Jiang et al. 2024 (MegaScale), arXiv:2402.15627.
    """
    per_layer = (4 + 2 * network.hidden * max(1, network.experts)) * network.width**2
    matrices = network.depth * per_layer + network.width * (network.outputs or network.vocabulary)
    return 6 * matrices + 12 * network.depth * network.width * network.context


def mfu(network: Decoder, *, batch: int, steps_per_second: float, lanes: int = 1, peak: float) -> float:
    """Model flop utilisation: useful flops a second of all lanes over the peak.

    Args:
      network: of each lane.
      batch: sequences a step.
      steps_per_second: of every lane, all lanes stepping together.
      lanes: networks trained side by side.
      peak: flops a second of the machine.
    """
    return lanes * steps_per_second * batch * network.context * flops_per_token(network) / peak
