// token_logprobs in its plainest form, one thread a row and double throughout: what the fast
// kernels are compared with. It shares only the reading and writing of elements with them.
#pragma once

#include "elements.cuh"
#include "logits.cuh"
#include "op/token_logprobs.h"

namespace logratio::test {

__device__ inline double plain_logit(const op::LogitRows& rows, int64_t row, int64_t column) {
  switch (rows.type) {
    case op::ElementType::f32:
      return device::row_address<device::Float32>(rows, row)[column];
    case op::ElementType::bf16:
      return device::BFloat16::widen(device::row_address<device::BFloat16>(rows, row)[column]);
    default:
      return device::Float16::widen(device::row_address<device::Float16>(rows, row)[column]);
  }
}

__device__ inline void plain_store(const op::LogitRows& rows, int64_t row, int64_t column,
                                   double value) {
  switch (rows.type) {
    case op::ElementType::f32:
      device::row_address<device::Float32>(rows, row)[column] = static_cast<float>(value);
      break;
    case op::ElementType::bf16:
      device::row_address<device::BFloat16>(rows, row)[column] = device::BFloat16::narrow(value);
      break;
    default:
      device::row_address<device::Float16>(rows, row)[column] = device::Float16::narrow(value);
      break;
  }
}

__device__ inline double plain_z(const op::LogitRows& rows, int64_t row, int64_t column,
                                 const op::RowTransform& t) {
  const double x = plain_logit(rows, row, column);
  return (t.softcap == 0 ? x : t.softcap * tanh(x / t.softcap)) / t.temperature;
}

__global__ void plain_forward(const op::TokenLogprobs call, int64_t rows) {
  const int64_t row = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (row >= rows)
    return;
  const int64_t columns = call.logits.columns,
                label = device::read_label(call.labels, row, columns);
  double maximum = plain_z(call.logits, row, 0, call.transform), sum = 0, sum2 = 0, weighted = 0,
         mean = 0;
  int64_t argmax = 0;
  for (int64_t k = 0; k < columns; ++k) {
    const double z = plain_z(call.logits, row, k, call.transform);
    if (plain_logit(call.logits, row, k) > plain_logit(call.logits, row, argmax))
      argmax = k;
    maximum = z > maximum ? z : maximum;
    mean += z / static_cast<double>(columns);
  }
  for (int64_t k = 0; k < columns; ++k) {
    const double d = plain_z(call.logits, row, k, call.transform) - maximum;
    sum += exp(d);
    sum2 += exp(2 * d);
    weighted += exp(d) * d;
  }
  device::write(call.outputs[math::kLogp], row,
                plain_z(call.logits, row, label, call.transform) - maximum - log(sum));
  device::write(call.outputs[math::kLse], row, maximum + log(sum));
  device::write(call.outputs[math::kLse2], row, 2 * maximum + log(sum2));
  device::write(call.outputs[math::kEntropy], row, log(sum) - weighted / sum);
  device::write(call.outputs[math::kMeanLogit], row, mean);
  device::write(call.outputs[math::kArgmax], row, argmax);
}

__global__ void plain_backward(const op::TokenLogprobsBackward call, int64_t rows) {
  const int64_t row = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (row >= rows)
    return;
  const int64_t columns = call.logits.columns,
                label = device::read_label(call.labels, row, columns);
  const double lse = device::read_double(call.lse, row),
               entropy = device::read_double(call.entropy, row);
  const double g = device::read_double(call.grad_logp, row),
               h = device::read_double(call.grad_entropy, row);
  const op::RowTransform& t = call.transform;
  for (int64_t k = 0; k < columns; ++k) {
    const double log_p = plain_z(call.logits, row, k, t) - lse, p = exp(log_p);
    const double tangent = t.softcap == 0 ? 0 : tanh(plain_logit(call.logits, row, k) / t.softcap);
    plain_store(call.gradient, row, k,
                (g * ((k == label ? 1 : 0) - p) - h * p * (log_p + entropy)) *
                    (1 - tangent * tangent) / t.temperature);
  }
}

}  // namespace logratio::test
