// What liblogratio asks of the libraries that run CUDA kernels, liblogratio_cuda.so and
// liblogratio_emulator.so: one table of functions, behind one symbol. Arguments were checked at the
// C ABI; views hold device pointers. No exception crosses this border.
//
// A new operation is a struct with its arguments and a line in Table here, a .cu in
// cuda-kernels/src, and a call of Placement::run in src/abi.
#pragma once

#include <cstdint>

#include "cpu/divergence.h"
#include "cpu/grid.h"
#include "cpu/pair_loss.h"
#include "cpu/preference_step.h"
#include "cpu/sequence_logps.h"
#include "cpu/token_logprobs.h"
#include "cpu/token_rows.h"
#include "logratio.h"
#include "math/scoring_rule.h"

namespace logratio::device {

inline constexpr uint32_t kTableVersion = 5;  // raised whenever anything below changes
inline constexpr char kTableSymbol[] = "logratio_device_table";

// How a call runs, and the text of its failure.
struct Execution {
  int32_t device;
  void* stream;     // cudaStream_t
  void* workspace;  // nullptr: nothing runs, and workspace_bytes becomes what the call needs
  uint64_t workspace_bytes;
  int64_t* bad_values;  // may be nullptr
  char error[512];
};

// Labels in device memory are unchecked: ignore_index, in [0,V), or bad.
struct Labels {
  cpu::Grid values;
  int64_t ignore_index;
};

struct TokenForward {
  cpu::LogitRows logits;
  cpu::RowTransform transform;
  Labels labels;
  cpu::TokenOutputs outputs;
};

struct TokenBackward {
  cpu::LogitRows logits;
  cpu::LogitRows gradient;  // may be the logits
  cpu::RowTransform transform;
  Labels labels;
  cpu::TokenUpstream upstream;
};

// Weights in a mask in device memory are unchecked, too.
struct SequenceReduction {
  lr_sequence_options options;
  cpu::Grid mask;
  cpu::SequenceTensors tensors;
};

struct PairLosses {
  lr_loss_options options;
  int64_t pairs;
  cpu::PairTensors tensors;
  cpu::Grid beta_kl, beta_mix, tau;  // present ones take the place of the option
};

struct ExampleLosses {
  lr_loss_options options;
  int64_t examples;
  cpu::ExampleTensors tensors;
};

inline constexpr int kMaxStepLosses = 16;  // they travel as arguments of a kernel

struct Step {
  const cpu::WeightedLoss* losses;
  int loss_count;
  bool wpo;
  lr_sequence_options sequence;
  int64_t pairs;
  int64_t tokens;
  cpu::LogitRows logits;
  cpu::RowTransform transform;
  Labels labels;
  cpu::Grid mask;             // may be absent
  cpu::Grid reference_logps;  // at most one of the two references is present
  cpu::Grid reference_token_logps;
  cpu::StepOutput output;  // its metrics lie in device memory
};

// Row numbers and weights in device memory are unchecked.
struct Divergences {
  math::DivergenceOptions options;
  bool mean;
  int64_t pairs;
  cpu::DivergenceSides sides;
  cpu::Grid p_rows, q_rows;  // present both, or row k meets row k
  cpu::Grid row_weights, grad_loss;
  cpu::Grid values, loss;
  bool wants_p, wants_q;
  cpu::LogitRows grad_p, grad_q;  // may be the logits
};

struct ScoringRules {
  math::RuleOptions options;
  cpu::LogitRows logits;
  Labels labels;
  cpu::Grid grad_loss;  // may be absent
  cpu::Grid values, loss;
  bool wants_gradient;
  cpu::LogitRows gradient;  // may be the logits
};

// The plainest kernel of a kind, as lr_bandwidth has them, over whole 16-byte vectors.
struct BandwidthProbe {
  int32_t kind;
  void* source;
  void* destination;
  uint64_t bytes;
};

// Devices, memory, streams and events. A call works on the execution's device and stream; the first
// three leave it to the thread which device is current.
struct Resources {
  lr_status (*count)(Execution* execution, int32_t* devices);
  lr_status (*current)(Execution* execution, int32_t* device);
  lr_status (*make_current)(Execution* execution);
  lr_status (*synchronize)(Execution* execution);
  lr_status (*memory)(Execution* execution, uint64_t* free_bytes, uint64_t* total_bytes);
  lr_status (*allocate)(Execution* execution, uint64_t bytes, void** memory);
  lr_status (*free)(Execution* execution, void* memory);
  lr_status (*fill)(Execution* execution, void* memory, int32_t value, uint64_t bytes);
  lr_status (*copy)(Execution* execution, void* to, const void* from, uint64_t bytes);
  lr_status (*pin)(Execution* execution, void* memory, uint64_t bytes);
  lr_status (*unpin)(Execution* execution, void* memory);
  lr_status (*create_stream)(Execution* execution, void** stream);
  lr_status (*destroy_stream)(Execution* execution);
  lr_status (*synchronize_stream)(Execution* execution);
  lr_status (*query_stream)(Execution* execution, int32_t* done);
  lr_status (*wait)(Execution* execution, void* event);
  lr_status (*create_event)(Execution* execution, void** event);
  lr_status (*destroy_event)(Execution* execution, void* event);
  lr_status (*record)(Execution* execution, void* event);
  lr_status (*synchronize_event)(Execution* execution, void* event);
  lr_status (*query_event)(Execution* execution, void* event, int32_t* done);
  lr_status (*elapsed)(Execution* execution, void* start, void* end, double* milliseconds);
};

struct Table {
  uint32_t version;  // first, whatever follows
  lr_status (*describe)(Execution* execution, lr_device_info* info);
  lr_status (*token_logprobs)(Execution* execution, const TokenForward* call);
  lr_status (*token_logprobs_backward)(Execution* execution, const TokenBackward* call);
  lr_status (*sequence_logps)(Execution* execution, const SequenceReduction* call);
  lr_status (*pair_loss)(Execution* execution, const PairLosses* call);
  lr_status (*unpaired_loss)(Execution* execution, const ExampleLosses* call);
  lr_status (*preference_step)(Execution* execution, const Step* call);
  lr_status (*divergence)(Execution* execution, const Divergences* call);
  lr_status (*scoring_rule)(Execution* execution, const ScoringRules* call);
  lr_status (*bandwidth_probe)(Execution* execution, const BandwidthProbe* call);
  Resources resources;
};

using TableFunction = const Table* (*)();

}  // namespace logratio::device
