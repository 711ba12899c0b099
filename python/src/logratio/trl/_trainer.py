"""TRL's DPOTrainer with the loss, its gradient and its metrics from this library."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from accelerate.utils import DistributedType, is_peft_model
from torch import Tensor, nn
from transformers import PreTrainedModel
from trl import DPOConfig, DPOTrainer
from trl.models.utils import disable_gradient_checkpointing
from trl.trainer.utils import use_adapter

from .._errors import InvalidArgumentError
from ..torch import LinearPreferenceStep, PreferenceStep, linear_preference_step, preference_step
from ._config import check, losses_of, unseen_divergence
from ._forward import keep_output_dtype
from ._head import Head
from ._reference import answer_logps, linear_answer_logps

_NOT_OF_THE_MODEL = ("completion_mask", "ref_chosen_logps", "ref_rejected_logps")
_IGNORED = -100

#: What the head is multiplied in where accelerate's autocast runs a model.
_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


class LogratioDPOTrainer(DPOTrainer):
    """TRL's ``DPOTrainer`` on this library's ``preference_step``.

    It takes what ``DPOTrainer`` takes and logs the same keys. ``args`` may be a ``DPOConfig``, for
    TRL's losses, or a :class:`~logratio.trl.LogratioDPOConfig`, for every paired loss.

    In training, the gradient is written over the logits, which are bfloat16 in a bf16 run; the
    reference model runs first, so that its logits are gone when the policy's come. Evaluation and
    ``return_outputs=True`` leave the logits as the model gave them.

    With ``args.fused_head`` there are no logits: the model runs up to its head, whose weight goes
    into ``linear_preference_step`` with the last hidden states. The head has to be a plain linear
    layer without an adapter, and the logits its product, with Gemma's softcap at most. What needs
    logits, ``compute_metrics`` and ``return_outputs=True``, is then an error.

    Rewards are logged with ``args.beta`` whatever the loss.

    Raises:
        ValueError: for a loss that is not a paired one, for an option that none of the losses has,
            and for settings that cannot be honoured.
    """

    args: DPOConfig
    model: PreTrainedModel
    ref_model: PreTrainedModel | None

    def __init__(
        self,
        model: str | PreTrainedModel,
        ref_model: PreTrainedModel | None = None,
        args: DPOConfig | None = None,
        *positional: Any,
        **named: Any,
    ) -> None:
        self._heads: dict[nn.Module, Head] = {}
        if args is not None:
            check(args)
        with nullcontext() if args is None else unseen_divergence(args):
            super().__init__(model, ref_model, args, *positional, **named)
        self.f_divergence_type = self.args.f_divergence_type
        if self._is_fused:
            self._check_fused()

    def compute_ref_log_probs(
        self, model: nn.Module, inputs: dict[str, Any]
    ) -> tuple[Tensor, Tensor]:
        """The reference's log-probabilities of chosen and rejected answers: [P] each, float64."""
        keep_output_dtype(self.accelerator.unwrap_model(model, keep_torch_compile=False))
        # A string of them, which a command line gives, has become a dict by now.
        options: Any = self.args.gradient_checkpointing_kwargs
        checkpointing = disable_gradient_checkpointing(self.model, options)
        with torch.no_grad(), checkpointing:
            targets = (*_targets(inputs), self._tail_weight, _IGNORED)
            with self._reference_adapter():
                if self._is_fused:
                    head = self._head(model)
                    _, hidden = head.states(model, _model_inputs(inputs))
                    operands = head.operands(hidden, self._autocast_dtype)
                    logps = linear_answer_logps(operands, *targets, head.softcap)
                else:
                    logits = model(**_model_inputs(inputs)).logits
                    logps = answer_logps(logits, *targets)
        chosen, rejected = logps.chunk(2)
        return chosen, rejected

    def _compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool
    ) -> Tensor | tuple[Tensor, Any]:
        if self.precompute_ref_logps:
            reference = inputs["ref_chosen_logps"], inputs["ref_rejected_logps"]
        else:
            reference_model = self.model if self.ref_model is None else self.ref_model
            reference = self.compute_ref_log_probs(reference_model, inputs)
        reference_logps = torch.cat(reference)

        keep_output_dtype(self.accelerator.unwrap_model(model, keep_torch_compile=False))
        router = {"output_router_logits": True} if self.aux_loss_enabled else {}
        outputs, step = self._step(
            model, inputs, _model_inputs(inputs) | router, reference_logps, return_outputs
        )
        loss = step.loss
        metrics = self._metrics["train" if self.model.training else "eval"]
        if self.aux_loss_enabled:
            loss = loss + self.router_aux_loss_coef * outputs.aux_loss
            aux_loss = self.accelerator.gather_for_metrics(outputs.aux_loss.detach())
            metrics["aux_loss"].append(aux_loss.mean().item())
        self._log_tokens(metrics, step, _targets(inputs)[1], inputs["attention_mask"])
        # Rounded as the policy's are: equal ones are to have rewards of 0.
        self._log_sequences(metrics, step.logps, reference_logps.float())
        return (loss, outputs) if return_outputs else loss

    def _step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        model_inputs: dict[str, Any],
        reference_logps: Tensor,
        return_outputs: bool,
    ) -> tuple[Any, PreferenceStep | LinearPreferenceStep]:
        """The policy's outputs, and the loss of its logits or of its hidden states."""
        labels, mask = _targets(inputs)
        options: dict[str, Any] = {
            "mask": mask,
            "reference_logps": reference_logps,
            "loss_weights": self.loss_weights,
            "tail_weight": self._tail_weight,
            "wpo": self.use_weighting,
            "grad_loss": self._upstream(),
        }
        losses = losses_of(self.args)
        if not self._is_fused:
            outputs = model(**model_inputs)
            options["inplace"] = not return_outputs
            return outputs, preference_step(outputs.logits, labels, losses, **options)
        if return_outputs:
            raise InvalidArgumentError(
                "return_outputs: expected False with fused_head, which makes no logits"
            )
        head = self._head(model)
        outputs, hidden = head.states(model, model_inputs)
        options |= head.operands(hidden, self._autocast_dtype)
        budget = getattr(self.args, "fused_budget_bytes", None)
        options |= {"softcap": head.softcap, "budget_bytes": budget}
        return outputs, linear_preference_step(labels=labels, loss=losses, **options)

    @property
    def _is_fused(self) -> bool:
        return getattr(self.args, "fused_head", False)

    def _check_fused(self) -> None:
        """Raises InvalidArgumentError for what needs logits, and for heads that are in pieces."""
        if self.compute_metrics is not None:
            raise InvalidArgumentError(
                "compute_metrics: expected None with fused_head, which makes no logits"
            )
        in_pieces = (DistributedType.DEEPSPEED, DistributedType.FSDP)
        if self.accelerator.distributed_type in in_pieces or self._tp_size > 1:
            raise InvalidArgumentError(
                "fused_head: expected False with DeepSpeed, FSDP or tensor parallelism, which may "
                "have the head in pieces"
            )
        for model in (self.model, self.ref_model):
            if model is not None:
                self._head(model)

    def _head(self, model: nn.Module) -> Head:
        """The head of a model, whatever it is wrapped in; the first call checks it."""
        bare = self.accelerator.unwrap_model(model, keep_torch_compile=False)
        if bare not in self._heads:
            self._heads[bare] = Head(bare)
        return self._heads[bare]

    @property
    def _autocast_dtype(self) -> torch.dtype | None:
        return _AUTOCAST.get(self.accelerator.mixed_precision)

    @property
    def _tail_weight(self) -> float:
        return 1.0 if self.ld_alpha is None else self.ld_alpha

    def _reference_adapter(self) -> Any:
        """The adapter of the reference where the policy's own model is the reference's, too."""
        if self.ref_model is not None or not is_peft_model(self.model):
            return nullcontext()
        model = self.accelerator.unwrap_model(self.model)
        return use_adapter(model, adapter_name="ref" if "ref" in model.peft_config else None)

    def _upstream(self) -> float:
        """The gradient that backward will bring to the loss, so that it need not be scaled."""
        scaler = self.accelerator.scaler
        scale = 1.0 if scaler is None else scaler.get_scale()
        return scale / getattr(self, "current_gradient_accumulation_steps", 1)

    def _log_tokens(
        self,
        metrics: dict[str, list[float]],
        step: PreferenceStep | LinearPreferenceStep,
        mask: Tensor,
        attention_mask: Tensor,
    ) -> None:
        """Logs means over the tokens of all processes, which one call gathers as sums."""
        chosen, rejected = mask.double().sum(1).view(2, -1).sum(1)
        own = step.metrics
        sums = torch.stack(
            (
                chosen,
                rejected,
                own["entropy"] * (chosen + rejected),
                own["logits_chosen"] * chosen,
                own["logits_rejected"] * rejected,
                own["token_accuracy"] * chosen,
                attention_mask.sum().double(),
            )
        )
        sums = self.accelerator.gather_for_metrics(sums[None]).sum(0).tolist()
        chosen, rejected, entropy, logits_chosen, logits_rejected, correct, tokens = sums
        if self.model.training:
            self._total_train_tokens += int(tokens) // self._tp_size
        metrics["entropy"].append(_ratio(entropy, chosen + rejected))
        metrics["num_tokens"] = [self._total_train_tokens]
        metrics["logits/chosen"].append(_ratio(logits_chosen, chosen))
        metrics["logits/rejected"].append(_ratio(logits_rejected, rejected))
        metrics["mean_token_accuracy"].append(_ratio(correct, chosen))

    def _log_sequences(
        self, metrics: dict[str, list[float]], logps: Tensor, reference_logps: Tensor
    ) -> None:
        """Logs means over the pairs of all processes, which one call gathers."""
        chosen, rejected = (self.beta * (logps - reference_logps)).chunk(2)
        figures = {
            "rewards/chosen": chosen,
            "rewards/rejected": rejected,
            "rewards/accuracies": (chosen > rejected).float(),
            "rewards/margins": chosen - rejected,
            "logps/chosen": logps.chunk(2)[0],
            "logps/rejected": logps.chunk(2)[1],
        }
        gathered = self.accelerator.gather(torch.stack(tuple(figures.values()), 1))
        for name, mean in zip(figures, gathered.mean(0).tolist()):
            metrics[name].append(mean)


def _model_inputs(inputs: dict[str, Any]) -> dict[str, Any]:
    of_the_model = {name: x for name, x in inputs.items() if name not in _NOT_OF_THE_MODEL}
    return of_the_model | {"use_cache": False}


def _targets(inputs: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """The next token at each position, and which of them count; none follows the last position."""
    mask = F.pad(inputs["completion_mask"][:, 1:], (0, 1))
    labels = F.pad(inputs["input_ids"][:, 1:], (0, 1), value=_IGNORED)
    return labels.masked_fill(mask == 0, _IGNORED), mask


def _ratio(total: float, count: float) -> float:
    return total / count if count else 0.0
