"""TRL's DPO training with the losses, gradients and metrics of this library.

``LogratioDPOTrainer`` takes the place of TRL's ``DPOTrainer``, ``LogratioDPOConfig`` that of its
``DPOConfig``. ``patch()`` gives TRL's other trainers this library's log-probabilities and
entropies.
"""

from __future__ import annotations

from importlib import metadata

try:
    _installed = metadata.version("trl")
except metadata.PackageNotFoundError:
    raise ModuleNotFoundError(
        "logratio.trl needs TRL 1, which pip install 'trl>=1.13,<2' installs", name="trl"
    ) from None
if _installed.split(".")[0] != "1" or int(_installed.split(".")[1]) < 13:
    raise ImportError(f"logratio.trl needs TRL 1 from 1.13 on, got trl {_installed}", name="trl")

from ._config import LogratioDPOConfig  # noqa: E402
from ._patch import Patch, patch  # noqa: E402
from ._trainer import LogratioDPOTrainer  # noqa: E402

__all__ = ["LogratioDPOConfig", "LogratioDPOTrainer", "Patch", "patch"]
