"""TRL's DPO training with the losses, gradients and metrics of this library.

``LogratioDPOTrainer`` takes the place of TRL's ``DPOTrainer``, ``LogratioDPOConfig`` that of its
``DPOConfig``. ``patch()`` gives TRL's other trainers faster log-probabilities and entropies.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    _trl = version("trl")
except PackageNotFoundError:
    raise ModuleNotFoundError(
        "logratio.trl needs TRL 1: pip install 'trl>=1.13,<2'", name="trl"
    ) from None
if _trl.split(".")[0] != "1":
    raise ImportError(f"logratio.trl needs TRL 1: expected trl>=1.13,<2, got trl {_trl}")

from ._config import LogratioDPOConfig  # noqa: E402
from ._patch import Patch, patch  # noqa: E402
from ._trainer import LogratioDPOTrainer  # noqa: E402

__all__ = ["LogratioDPOConfig", "LogratioDPOTrainer", "Patch", "patch"]
