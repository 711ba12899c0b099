// What lies between a head's products: small kernels over blocks of hidden states and of logits.
#include "linear_head.h"

#include <cstdio>

#include "elements.cuh"
#include "logits.cuh"
#include "row_launch.cuh"

namespace logratio::device {
namespace {

constexpr int kThreads = 256;

// ---- Kernels: hidden states ----

// A block of rows side by side, 0 for those that are not wanted and past the last. A block a row.
template <class T>
__global__ void __launch_bounds__(kThreads)
    gather_rows(const LR_PARAMETER op::LogitRows hidden, int64_t begin, int64_t count,
                int64_t block_rows, const double* wanted, typename T::Element* gathered,
                int64_t stride) {
  for (int64_t k = blockIdx.x; k < block_rows; k += gridDim.x) {
    const int64_t r = begin + k;
    const bool reads = k < count && wanted[r] != 0;
    const typename T::Element* const row = reads ? row_address<T>(hidden, r) : nullptr;
    for (int64_t h = threadIdx.x; h < hidden.columns; h += kThreads)
      gathered[k * stride + h] = reads ? row[h] : typename T::Element{};
  }
}

// Rows of a gradient as they were asked for: 0 where nothing comes from upstream, else what the
// product gave, times the upstream where that was 1 till now. A block a row.
template <class T>
__global__ void __launch_bounds__(kThreads)
    write_hidden(const float* products, int64_t stride, const LR_PARAMETER op::LogitRows gradient,
                 int64_t begin, int64_t count, const double* upstream, bool scales) {
  for (int64_t k = blockIdx.x; k < count; k += gridDim.x) {
    const int64_t r = begin + k;
    const double up = upstream[r], scale = scales ? up : 1;
    typename T::Element* const row = row_address<T>(gradient, r);
    for (int64_t h = threadIdx.x; h < gradient.columns; h += kThreads) {
      row[h] = up == 0 ? typename T::Element{}
                       : T::narrow(scale * static_cast<double>(products[k * stride + h]));
    }
  }
}

// ---- Kernels: the gradient of logits ----

// Rounded, vector by vector; `count` is a multiple of a vector's numbers.
template <class T>
__global__ void __launch_bounds__(kThreads)
    round_numbers(const float* from, typename T::Element* to, int64_t count) {
  static_assert(T::kPerVector == 2 * Float32::kPerVector);
  const auto* const source = reinterpret_cast<const Vector*>(from);
  auto* const target = reinterpret_cast<Vector*>(to);
  for (int64_t k = int64_t{blockIdx.x} * kThreads + threadIdx.x; k < count / T::kPerVector;
       k += int64_t{gridDim.x} * kThreads) {
    float x[T::kPerVector];
    Float32::unpack(load_once(source + 2 * k), x);
    Float32::unpack(load_once(source + 2 * k + 1), x + Float32::kPerVector);
    store_once(target + k, T::pack(x));
  }
}

// Adds a block's rows to the sum of each column, in their order. A thread a column.
__global__ void __launch_bounds__(kThreads)
    add_rows(const float* rows, int64_t stride, int64_t count, int64_t columns, double* sums) {
  for (int64_t v = int64_t{blockIdx.x} * kThreads + threadIdx.x; v < columns;
       v += int64_t{gridDim.x} * kThreads) {
    double sum = 0;
#pragma unroll 8
    for (int64_t k = 0; k < count; ++k)
      sum += rows[k * stride + v];
    sums[v] += sum;
  }
}

// ---- Kernels: weight and bias ----

__global__ void __launch_bounds__(kThreads)
    widen_bias(const LR_PARAMETER op::TensorView bias, int64_t columns, float* widened) {
  for (int64_t v = int64_t{blockIdx.x} * kThreads + threadIdx.x; v < columns;
       v += int64_t{gridDim.x} * kThreads)
    widened[v] = static_cast<float>(read_double(bias, v));
}

// Rows from `begin` on: the sums as they were asked for, as far as there are any, then 0. A block a
// row.
template <class T>
__global__ void __launch_bounds__(kThreads)
    write_weight_rows(const float* sums, int64_t sum_rows,
                      const LR_PARAMETER op::LogitRows gradient, int64_t begin, int64_t end,
                      bool accumulate) {
  for (int64_t v = begin + blockIdx.x; v < end; v += gridDim.x) {
    typename T::Element* const row = row_address<T>(gradient, v);
    for (int64_t h = threadIdx.x; h < gradient.columns; h += kThreads) {
      const float sum = v < sum_rows ? sums[v * gradient.columns + h] : 0;
      row[h] = T::narrow(accumulate ? static_cast<double>(T::widen(row[h])) + sum : double{sum});
    }
  }
}

__global__ void __launch_bounds__(kThreads)
    write_bias(const double* sums, int64_t sum_count, const LR_PARAMETER op::TensorView gradient,
               bool accumulate) {
  for (int64_t v = int64_t{blockIdx.x} * kThreads + threadIdx.x;
       v < gradient.outer * gradient.inner; v += int64_t{gridDim.x} * kThreads) {
    const double sum = v < sum_count ? sums[v] : 0;
    write(gradient, v, accumulate ? read_double(gradient, v) + sum : sum);
  }
}

// ---- The host's side ----

int64_t whole_vectors(int64_t numbers) { return (numbers + 7) / 8 * 8; }

dim3 blocks_of(int64_t threads) {
  constexpr int64_t kMost = 1 << 16;
  return grid_of(std::min((threads + kThreads - 1) / kThreads, kMost));
}

// A matrix that a product reads as it is.
gemm::Matrix matrix_of(const op::LogitRows& rows, int64_t count, const char* name) {
  if (count > 1 && rows.inner_stride < rows.columns) {
    throw Failure(LR_INVALID_ARGUMENT,
                  std::string(name) + " has rows " + std::to_string(rows.inner_stride) +
                      " elements apart, expected at least " + std::to_string(rows.columns));
  }
  return {rows.base, std::max(rows.inner_stride, rows.columns)};
}

op::TrainedHead untrained(const op::Head& head, int64_t vocab) {
  op::TrainedHead trained{};
  static_cast<op::Head&>(trained) = head;
  trained.vocab = vocab;
  return trained;
}

}  // namespace

LinearHead::LinearHead(const LinearHead& beside, const op::Head& head, Workspace& workspace)
    : LinearHead(beside.execution_, untrained(head, beside.vocab_), beside.rows_,
                 UpstreamComes::never, workspace) {
  reads_ = beside.reads_;
}

LinearHead::LinearHead(const Execution& execution, const op::TrainedHead& head, int64_t rows,
                       UpstreamComes upstream, Workspace& workspace)
    : execution_(execution),
      head_(head),
      rows_(rows),
      hidden_(head.weight.columns),
      vocab_(head.vocab),
      comes_(upstream),
      at_once_(upstream == UpstreamComes::known || (upstream == UpstreamComes::later && !trains())),
      block_rows_(gemm::block_rows()),
      blocks_((rows + block_rows_ - 1) / block_rows_),
      hidden_stride_(whole_vectors(hidden_)),
      logit_stride_(whole_vectors(vocab_)),
      block_numbers_(block_rows_ * logit_stride_),
      weight_(matrix_of(head.weight, head.weight.inner, "weight")) {
  const bool later = upstream == UpstreamComes::later;
  const auto budget = static_cast<int64_t>(std::min<uint64_t>(head.budget_bytes, INT64_MAX));
  const int64_t most = later && !at_once_ ? budget / (block_numbers_ * int64_t{sizeof(float)}) : 1;
  buffers_ = std::clamp<int64_t>(most, 1, std::max<int64_t>(blocks_, 1));

  const bool differentiates = upstream != UpstreamComes::never;
  const auto take = [&]<class T>(bool wanted, int64_t count) {
    return wanted ? workspace.take<T>(count) : nullptr;
  };
  gemm_ = workspace.take<char>(static_cast<int64_t>(gemm::workspace_bytes()));
  reads_ = workspace.take<double>(rows);
  upstream_ = take.template operator()<double>(differentiates, rows);
  bias_ = take.template operator()<float>(head.bias.present, vocab_);
  const int64_t element = op::bytes_of(head.weight.type);
  gathered_ = workspace.take<char>(block_rows_ * hidden_stride_ * element);
  logits_ = workspace.take<float>(buffers_ * block_numbers_);
  rounded_ = take.template operator()<char>(
      differentiates && is_narrow() && (head.wants_hidden || head.wants_weight),
      block_numbers_ * element);
  const int64_t waiting = (scales() ? std::max<int64_t>(blocks_, 1) : 1) * block_rows_;
  of_hidden_ = take.template operator()<float>(head.wants_hidden, waiting * hidden_stride_);
  const bool has_sums = head.wants_weight && head.grad_weight.type != op::ElementType::f32;
  of_weight_ = take.template operator()<float>(has_sums, vocab_ * hidden_);
  sums_ = has_sums ? gemm::Matrix{of_weight_, hidden_}
                   : matrix_of(head.grad_weight, head.weight.inner, "grad_weight");
  of_bias_ = take.template operator()<double>(head.grad_bias.present, vocab_);
  if (scales())
    accumulator_bytes_ += static_cast<uint64_t>(waiting * hidden_stride_) * sizeof(float);
  if (has_sums)
    accumulator_bytes_ += static_cast<uint64_t>(vocab_ * hidden_) * sizeof(float);
  if (head.grad_bias.present)
    accumulator_bytes_ += static_cast<uint64_t>(vocab_) * sizeof(double);
}

int64_t LinearHead::kept_rows() const {
  if (comes_ != UpstreamComes::later || at_once_)
    return rows_;
  const int64_t last = blocks_ == 0 ? 0 : block(blocks_ - 1).count;
  return std::min((buffers_ - 1) * block_rows_ + last, rows_);
}

void LinearHead::tell_plan(std::initializer_list<const LinearHead*> others,
                           uint64_t workspace_bytes) const {
  if (head_.plan == nullptr)
    return;
  lr_linear_plan& plan = *head_.plan;
  const bool forward = comes_ == UpstreamComes::never;
  plan = {};
  plan.method = forward                                 ? LR_LINEAR_FORWARD
                : head_.wants_weight || head_.grad_bias ? LR_LINEAR_SWEEP
                                                        : LR_LINEAR_ONLINE;
  plan.rows = rows_;
  plan.kept_rows = forward ? 0 : kept_rows();
  plan.recomputed_rows = forward ? 0 : rows_ - plan.kept_rows;
  plan.block_rows = block_rows_;
  plan.block_columns = vocab_;
  const double again =
      rows_ == 0 ? 0 : static_cast<double>(plan.recomputed_rows) / static_cast<double>(rows_);
  plan.operations = 2 * (1 + again + (head_.wants_hidden ? 1 : 0) + (head_.wants_weight ? 1 : 0));
  for (const LinearHead* other : others)
    plan.operations += 2 * static_cast<double>(other->hidden_) / static_cast<double>(hidden_);
  const auto block_bytes = static_cast<uint64_t>(block_numbers_) * sizeof(float);
  plan.kept_bytes = forward ? 0 : static_cast<uint64_t>(buffers_) * block_bytes;
  plan.accumulator_bytes = accumulator_bytes_;
  plan.scratch_bytes = workspace_bytes - plan.kept_bytes - plan.accumulator_bytes;
  lr_gemm_info info{};
  gemm::describe(execution_.device, &info);
  std::snprintf(plan.gemm, sizeof plan.gemm, "%s", info.library);
}

void LinearHead::start() const {
  if (head_.wants_hidden)
    poison(head_.grad_hidden, rows_);
  if (!head_.accumulate) {
    if (head_.wants_weight)
      poison(head_.grad_weight, head_.weight.inner);
    poison(head_.grad_bias);
  }
  if (bias_ != nullptr)
    launch(widen_bias, blocks_of(vocab_), kThreads, 0, execution_.stream, head_.bias, vocab_,
           bias_);
  const auto clear = [&](void* sums, int64_t bytes) {
    if (sums != nullptr)
      fill(sums, 0, static_cast<uint64_t>(bytes), execution_.stream);
  };
  clear(of_bias_, vocab_ * int64_t{sizeof(double)});
  if (blocks_ == 0)  // no product writes them
    clear(of_weight_, vocab_ * hidden_ * int64_t{sizeof(float)});
}

RowBlock LinearHead::block(int64_t b) const {
  const int64_t begin = b * block_rows_;
  // An address from which only the block's rows are looked for.
  const auto base = reinterpret_cast<uintptr_t>(buffer(b)) -
                    static_cast<uintptr_t>(begin * logit_stride_) * sizeof(float);
  const op::LogitRows logits{reinterpret_cast<void*>(base),
                             op::ElementType::f32,
                             std::max<int64_t>(rows_, 1),
                             0,
                             logit_stride_,
                             vocab_};
  return {logits, logits, begin, std::min(rows_ - begin, block_rows_)};
}

void LinearHead::multiply(gemm::Product product) const {
  product.type = head_.weight.type;
  gemm::multiply(execution_, gemm_, product);
}

void LinearHead::gather(int64_t b, const double* wanted) const {
  const RowBlock rows = block(b);
  with_type(head_.hidden.type, [&]<class T>(T) {
    launch(gather_rows<T>, grid_of(block_rows_), kThreads, 0, execution_.stream, head_.hidden,
           rows.begin, rows.count, block_rows_, wanted,
           static_cast<typename T::Element*>(gathered_), hidden_stride_);
  });
}

void LinearHead::make_logits(int64_t b) const {
  gather(b, reads_);
  multiply({gemm::Form::nt,
            {},
            block_rows_,
            vocab_,
            hidden_,
            {gathered_, hidden_stride_},
            weight_,
            bias_,
            false,
            {buffer(b), logit_stride_}});
}

// The gradients of a block whose logits have become their own gradient.
void LinearHead::add_gradients(int64_t b, const double* upstream, bool first) const {
  const int64_t count = block(b).count;
  float* const gradient = buffer(b);
  if (count < block_rows_) {
    fill(gradient + count * logit_stride_, 0,
         static_cast<uint64_t>((block_rows_ - count) * logit_stride_) * sizeof(float),
         execution_.stream);
  }
  if (of_bias_ != nullptr) {
    launch(add_rows, blocks_of(vocab_), kThreads, 0, execution_.stream, gradient, logit_stride_,
           block_rows_, vocab_, of_bias_);
  }
  gemm::Matrix factor{gradient, logit_stride_};
  if (rounded_ != nullptr) {
    factor.data = rounded_;
    const auto round = [&]<class T>(T) {
      launch(round_numbers<T>, blocks_of(block_numbers_ / T::kPerVector), kThreads, 0,
             execution_.stream, gradient, static_cast<typename T::Element*>(rounded_),
             block_numbers_);
    };
    head_.weight.type == op::ElementType::bf16 ? round(BFloat16{}) : round(Float16{});
  }
  if (head_.wants_hidden) {
    float* const products = of_hidden_ + (scales() ? b * block_rows_ * hidden_stride_ : int64_t{0});
    multiply({gemm::Form::nn,
              {},
              block_rows_,
              hidden_,
              vocab_,
              factor,
              weight_,
              nullptr,
              false,
              {products, hidden_stride_}});
    if (!scales())
      write_hidden_rows(b, products, upstream);
  }
  if (head_.wants_weight) {
    gather(b, upstream);
    multiply({gemm::Form::tn,
              {},
              vocab_,
              hidden_,
              block_rows_,
              factor,
              {gathered_, hidden_stride_},
              nullptr,
              !first || (head_.accumulate && of_weight_ == nullptr),
              sums_});
  }
}

void LinearHead::write_hidden_rows(int64_t b, const float* products, const double* upstream) const {
  const RowBlock rows = block(b);
  with_type(head_.grad_hidden.type, [&]<class T>(T) {
    launch(write_hidden<T>, grid_of(rows.count), kThreads, 0, execution_.stream, products,
           hidden_stride_, head_.grad_hidden, rows.begin, rows.count, upstream, scales());
  });
}

void LinearHead::write_weight() const {
  const int64_t all = head_.weight.inner;
  // Where the sums are the gradient itself, only rows that no product wrote are left.
  const int64_t begin = of_weight_ != nullptr || blocks_ == 0 ? 0 : vocab_,
                end = head_.accumulate ? vocab_ : all;
  const bool has_sums = of_weight_ != nullptr;
  if (head_.wants_weight && begin < end && (has_sums || !head_.accumulate)) {
    with_type(head_.grad_weight.type, [&]<class T>(T) {
      launch(write_weight_rows<T>, grid_of(std::min<int64_t>(end - begin, 1 << 16)), kThreads, 0,
             execution_.stream, of_weight_, has_sums ? vocab_ : 0, head_.grad_weight, begin, end,
             head_.accumulate);
    });
  }
  if (of_bias_ != nullptr) {
    launch(write_bias, blocks_of(head_.grad_bias.size()), kThreads, 0, execution_.stream, of_bias_,
           vocab_, head_.grad_bias, head_.accumulate);
  }
}

void LinearHead::forward(const Figures& figures, const Differentiate& differentiate) {
  const double* const upstream = scales() ? reads_ : upstream_;
  for (int64_t b = 0; b < blocks_; ++b) {
    make_logits(b);
    figures(block(b));
    if (!at_once_)
      continue;
    differentiate(block(b), upstream);
    add_gradients(b, upstream, b == 0);
  }
}

void LinearHead::backward(const Differentiate& differentiate) {
  if (scales()) {
    for (int64_t b = 0; b < blocks_; ++b)
      write_hidden_rows(b, of_hidden_ + b * block_rows_ * hidden_stride_, upstream_);
  } else if (!at_once_) {
    // From the last one, whose logits are still there, to those that were kept.
    for (int64_t b = blocks_ - 1; b >= 0; --b) {
      if (!is_kept(b))
        make_logits(b);
      differentiate(block(b), upstream_);
      add_gradients(b, upstream_, b == blocks_ - 1);
    }
  }
  write_weight();
}

}  // namespace logratio::device
