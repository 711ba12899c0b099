// What liblogratio asks of the libraries that run CUDA kernels, liblogratio_cuda.so and
// liblogratio_emulator.so: one table of functions, behind one symbol. Arguments were checked at the
// C ABI; views hold device pointers. No exception crosses this border.
//
// A new operation is a struct of this folder with its arguments, a line in Table here, a .cu in
// cuda-kernels/src, and a call of Placement::run in src/abi.
#pragma once

#include <cstdint>

#include "logratio.h"
#include "op/bandwidth.h"
#include "op/divergence.h"
#include "op/linear.h"
#include "op/pair_loss.h"
#include "op/preference_step.h"
#include "op/scoring_rule.h"
#include "op/sequence_logps.h"
#include "op/token_logprobs.h"
#include "op/unpaired_step.h"

namespace logratio::device {

inline constexpr uint32_t kTableVersion = 8;  // raised whenever anything below changes
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
  lr_status (*token_logprobs)(Execution* execution, const op::TokenLogprobs* call);
  lr_status (*token_logprobs_backward)(Execution* execution, const op::TokenLogprobsBackward* call);
  lr_status (*sequence_logps)(Execution* execution, const op::SequenceLogps* call);
  lr_status (*pair_loss)(Execution* execution, const op::PairLoss* call);
  lr_status (*unpaired_loss)(Execution* execution, const op::UnpairedLoss* call);
  lr_status (*preference_step)(Execution* execution, const op::PreferenceStep* call);
  lr_status (*unpaired_step)(Execution* execution, const op::UnpairedStep* call);
  lr_status (*linear_token_logprobs)(Execution* execution, const op::LinearTokenLogprobs* call);
  lr_status (*linear_preference_step)(Execution* execution, const op::LinearPreferenceStep* call);
  lr_status (*linear_unpaired_step)(Execution* execution, const op::LinearUnpairedStep* call);
  lr_status (*gemm)(Execution* execution, lr_gemm_info* info);  // but for its size
  lr_status (*divergence)(Execution* execution, const op::Divergence* call);
  lr_status (*scoring_rule)(Execution* execution, const op::ScoringRule* call);
  lr_status (*bandwidth_probe)(Execution* execution, const op::BandwidthProbe* call);
  Resources resources;
};

using TableFunction = const Table* (*)();

}  // namespace logratio::device
