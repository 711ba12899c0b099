// preference_step and unpaired_step: logits to loss, gradient and metrics. Fused are
// token_logprobs, sequence_logps, every loss of the list or the loss of single examples, the
// gradients back to the logits, and what a trainer logs. The two are one chain: its rows and
// sequences are the same, and pairs or examples a layer between them.
//
// The rows are read once forward, 2 or 4 bytes per element, and read and written once backward, 4
// or 8; between lie some tens of bytes per token. Rows that do not count are not read, and get
// zeros. The launches, none of which waits for a value on the host:
//
//   offsets   only of packed sequences: whether they rise, by one block
//   weights   only where answers have tails: of tokens in their sums, by two launches where a
//             sequence is long. With a tail of weight 0 whole rows drop out, if nothing else needs
//             them
//   forward   a warp or a block a row; figures of each token to the workspace. Few long rows are
//             shared out by segment, and a second launch merges these
//   tokens    a block a part of a sequence: sums over its tokens
//   pairs     one block: sequences, losses and metrics; or examples
//   (nll)     up to three of step_nll.cuh, where a mask of its own or weights of pairs bear on it
//   backward  a warp or a block a row again. A row's coefficient is four numbers away, so that no
//             pass over the tokens is needed for it. With metrics it leaves each row's sum of
//             squares and number of non-finite values behind
//   norm      only with metrics and a gradient: a grid adds these up, in a fixed order
//
// The fused linear steps are the same chain. Forward and backward come once per block of rows that
// linear_head.h makes, and the reference model's rows, if its head is there, before the tokens.
#include <optional>

#include "linear_head.h"
#include "operations.h"
#include "step_examples.cuh"
#include "step_nll.cuh"
#include "step_pairs.cuh"
#include "step_rows.cuh"

namespace logratio::device {
namespace {

// What a chain is asked for besides the figures that its call has views of.
struct StepNeeds {
  bool every_figure;  // of counted tokens, beside their log-probs
  bool every_token;   // those of weight 0 after the tail weight, too
  int64_t chosen;     // the first sequences, with a gradient of their own for each token
};

// The heads that make the rows, where they are not held.
struct StepHeads {
  const op::TrainedHead* policy = nullptr;
  const op::Head* reference = nullptr;
};

// Layer is StepPairs or StepExamples, with the kernel that takes it; plan(workspace, has_backward,
// layer) fills in what is its own, and returns what few steps need beside.
template <class Layer, class Plan>
lr_status run_step(Execution* execution, const op::Step& step, const StepHeads& heads,
                   const StepNeeds& needs, std::initializer_list<const op::TensorView*> outputs,
                   void (*kernel)(Layer), Plan&& plan) {
  return run(execution, [&] {
    const Machine machine(*execution);
    const int64_t sequences = step.sequences, rows = step.rows();
    const bool metrics = step.metrics != nullptr, everything = metrics || needs.every_figure,
               has_backward = step.wants_gradient && rows > 0;
    const bool wants_figures = everything || needs.every_token,
               drops_rows = step.sequence.tail_weight == 0 && !wants_figures;

    Workspace workspace(*execution);
    const auto take = [&]<class T>(bool wanted, int64_t count) {
      return wanted ? workspace.take<T>(count) : nullptr;
    };
    HeldRows held(step.logits, step.gradient, rows);
    std::optional<LinearHead> head, reference;
    if (heads.policy != nullptr) {
      head.emplace(*execution, *heads.policy, rows,
                   step.wants_gradient ? UpstreamComes::later : UpstreamComes::never, workspace);
    }
    if (heads.reference != nullptr)
      reference.emplace(*head, *heads.reference, workspace);
    RowSource& source = head ? static_cast<RowSource&>(*head) : held;
    const bool scales = head && head->scales();

    Layer layer{};
    layer.metrics = step.metrics;
    int64_t* const offsets = take_offsets(workspace, step.cu_seqlens, sequences);
    const math::SequenceSpans spans{sequences, step.length, offsets};
    const bool packed = step.cu_seqlens.present;
    const Sequences shape{
        step.sequence, {step.mask, step.labels}, cut_sequences(spans, rows, kPartTokens)};
    const bool has_parts = !shape.cut.is_whole();
    math::RowNorm* const norms = workspace.take<math::RowNorm>(rows);
    math::RowNorm* const reference_norms =
        take.template operator()<math::RowNorm>(reference.has_value(), rows);
    math::TokenFigures* const figures =
        take.template operator()<math::TokenFigures>(wants_figures, rows);
    const int64_t parts = shape.cut.parts;
    layer.sequences = {shape,
                       take.template operator()<double>(shape.has_tails(), rows),
                       take.template operator()<int64_t>(shape.has_tails() && has_parts, parts),
                       norms,
                       figures,
                       step.reference_logps,
                       step.reference_token_logps,
                       take.template operator()<math::SequenceFigures>(has_parts, parts),
                       workspace.take<math::SequenceFigures>(sequences),
                       step.logps,
                       step.counts,
                       take.template operator()<int64_t>(packed && has_backward, rows),
                       execution->bad_values};
    if (reference)
      layer.sequences.reference_token_logps.data = &reference_norms->logp;
    const StepExtras extras = plan(workspace, has_backward, &layer);

    const auto forward_of = [&](const RowBlock& block, bool argmax, int64_t* bad_values) {
      return forward_rows_of(block.logits, block.count, step.transform, step.labels, argmax,
                             bad_values, machine, block.begin);
    };
    const auto backward_of = [&](const RowBlock& block) {
      return backward_rows_of(block.logits, block.gradient, block.count,
                              make_transform(step.transform), machine, block.begin);
    };
    Partial* const partials =
        take_partials(forward_of(source.first_block(), false, nullptr),
                      forward_of(source.last_block(), false, nullptr), workspace);
    const int64_t totals_each = backward_of(source.first_block()).parts_per_row();
    StepNorm norm{cut_for_norm(spans, rows, totals_each),
                  totals_each,
                  nullptr,
                  nullptr,
                  nullptr,
                  step.metrics};
    RowTotals* const totals =
        take.template operator()<RowTotals>(has_backward && metrics, rows * totals_each);
    if (has_backward && metrics) {
      norm.totals = totals;
      norm.of_parts = workspace.take<RowTotals>(norm.cut.parts);
      norm.arrivals = workspace.take<uint32_t>(1);
    }
    layer.cleared = norm.arrivals;
    if (reference) {
      head->tell_plan({&*reference}, workspace.bytes());
    } else if (head) {
      head->tell_plan({}, workspace.bytes());
    }
    if (!workspace.ready())
      return;

    for (const op::TensorView* output : {&step.losses_out, &step.logps, &step.counts})
      poison(*output);
    for (const op::TensorView* output : outputs)
      poison(*output);
    if (!head && has_backward && step.gradient.base != step.logits.base)
      poison(step.gradient, rows);
    if (head)
      head->start();
    if (reference)
      reference->start();
    launch_copy(step.cu_seqlens, sequences, rows, offsets, execution->bad_values, machine.stream);
    const StepSequences& tokens = layer.sequences;
    if (rows > 0 && shape.has_tails())
      launch_weights(tokens, machine.stream);
    if (rows > 0)
      launch_marks(extras, drops_rows, machine.stream);
    const FigureStore store{shape.mask,
                            extras.reads != nullptr ? extras.reads
                            : drops_rows            ? tokens.weights
                                                    : nullptr,
                            norms, figures};
    const dim3 row_grid = grid_of((rows + kListThreads - 1) / kListThreads);
    if (head)
      launch(mark_reads, row_grid, kListThreads, 0, machine.stream, store, rows, head->reads());

    const auto upstream_of = [&]<class Watch>(const double* row_gradient) {
      return StepUpstream<Watch>{shape.mask,
                                 step.logits.columns,
                                 needs.chosen,
                                 step.length,
                                 tokens.sequence_of,
                                 tokens.weights,
                                 norms,
                                 tokens.of,
                                 layer.total_gradient,
                                 layer.chosen_token_gradient,
                                 row_gradient,
                                 totals};
    };
    const Differentiate differentiate = [&](const RowBlock& block, const double* upstream) {
      const double* const by_row = upstream != nullptr ? upstream : extras.row_gradient;
      if (metrics) {
        launch_backward(backward_of(block), upstream_of.template operator()<Totals>(by_row), false,
                        machine);
      } else {
        launch_backward(backward_of(block), upstream_of.template operator()<Unwatched>(by_row),
                        false, machine);
      }
    };
    source.forward(
        [&](const RowBlock& block) {
          launch_forward(forward_of(block, metrics, execution->bad_values), store,
                         everything ? Wanted::everything : Wanted::logp, partials, machine);
        },
        differentiate);
    if (reference) {
      reference->forward(
          [&](const RowBlock& block) {
            launch_forward(forward_of(block, false, nullptr),
                           FigureStore{shape.mask, store.weights, reference_norms, nullptr},
                           Wanted::logp, partials, machine);
          },
          nullptr);
    }
    launch(step_tokens, grid_of(parts), kListThreads, 0, machine.stream, tokens);
    launch_extras(extras, machine.stream);
    launch(kernel, 1, kListThreads, 0, machine.stream, layer);
    if (!step.wants_gradient)
      return;
    launch_row_gradients(extras, machine.stream);
    if (head) {
      launch(find_upstream, row_grid, kListThreads, 0, machine.stream,
             upstream_of.template operator()<Unwatched>(extras.row_gradient), rows,
             head->upstream());
    }
    source.backward(differentiate);
    if (!has_backward || !metrics)
      return;
    if (scales) {
      launch(scale_totals, grid_of((rows * totals_each + kListThreads - 1) / kListThreads),
             kListThreads, 0, machine.stream, head->upstream(), rows, totals_each,
             step.logits.columns, totals);
    }
    launch(step_norm, grid_of(norm.cut.parts), kListThreads, 0, machine.stream, norm);
  });
}

lr_status run_preference(Execution* execution, const op::PreferenceStep& step,
                         const StepHeads& heads) {
  const bool sft = std::any_of(step.losses, step.losses + step.loss_count, [](const auto& l) {
    return math::loss_info(l.options.loss)->kind == LR_LOSS_AUXILIARY;
  });
  const op::TensorView* const gradients = step.parameters.gradients;
  return run_step(
      execution, step, heads, {step.wpo != LR_WPO_OFF, sft, step.pairs},
      {&step.chosen_rewards, &step.rejected_rewards, gradients, gradients + 1, gradients + 2},
      step.parameters.none() ? step_pairs<false> : step_pairs<true>,
      [&](Workspace& workspace, bool has_backward, StepPairs* pairs) {
        plan_pairs(step, workspace, pairs);
        return plan_extras(step, workspace, sft, has_backward, pairs);
      });
}

lr_status run_unpaired(Execution* execution, const op::UnpairedStep& step, const StepHeads& heads) {
  return run_step(execution, step, heads, {false, false, 0}, {&step.rewards, &step.kl},
                  step_examples, [&](Workspace& workspace, bool, StepExamples* examples) {
                    plan_examples(step, workspace, examples);
                    return StepExtras{};
                  });
}

// The same step, as if its logits lay somewhere.
template <class Step>
Step on_head(const Step& call, const op::TrainedHead& head) {
  Step step = call;
  step.logits = {nullptr, op::ElementType::f32, step.rows(), 0, head.vocab, head.vocab};
  step.gradient = step.logits;
  step.wants_gradient = head.wants_gradient();
  return step;
}

}  // namespace

lr_status preference_step(Execution* execution, const op::PreferenceStep* step) {
  return run_preference(execution, *step, {});
}

lr_status unpaired_step(Execution* execution, const op::UnpairedStep* step) {
  return run_unpaired(execution, *step, {});
}

lr_status linear_preference_step(Execution* execution, const op::LinearPreferenceStep* call) {
  auto step = on_head<op::PreferenceStep>(*call, call->head);
  if (!call->reference_head)
    return run_preference(execution, step, {&call->head});
  // The reference model's log-probs, which lie in the workspace.
  step.reference_token_logps = {true,
                                op::ElementType::f64,
                                nullptr,
                                1,
                                step.rows(),
                                0,
                                sizeof(math::RowNorm) / sizeof(double)};
  return run_preference(execution, step, {&call->head, &call->reference_head});
}

lr_status linear_unpaired_step(Execution* execution, const op::LinearUnpairedStep* call) {
  return run_unpaired(execution, on_head<op::UnpairedStep>(*call, call->head), {&call->head});
}

}  // namespace logratio::device
