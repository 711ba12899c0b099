/* A preference step from C: logits to the loss, their gradient and the metrics. */
#include <stdio.h>

#include "logratio.h"

/* A contiguous tensor over memory of the caller's. */
static DLTensor tensor(void* data, uint8_t code, uint8_t bits, int32_t ndim, int64_t* shape) {
  return (DLTensor){.data = data,
                    .device = {kDLCPU, 0},
                    .ndim = ndim,
                    .dtype = {.code = code, .bits = bits, .lanes = 1},
                    .shape = shape};
}

static int fail(const char* what) {
  fprintf(stderr, "%s: %s\n", what, lr_last_error());
  return 1;
}

int main(void) {
  if (lr_abi_version() != LR_ABI_VERSION) {
    fprintf(stderr, "liblogratio.so %s is not the one that this was compiled for\n", lr_version());
    return 1;
  }

  /* One pair of two tokens over a vocabulary of three: row 0 chosen, row 1 rejected. */
  float values[] = {2, 0, -1, 0, 1, 0, /* rejected */ 0, 1, 0, 3, -1, 0};
  int32_t targets[] = {0, 1, 2, 1};
  float reference_values[] = {-1.5f, -4};
  float gradient[12];
  int64_t shape[] = {2, 2, 3}; /* [2P,T,V]; its beginnings are [2P,T] and [2P] */

  /* @start region="step" */
  DLTensor logits = tensor(values, kDLFloat, 32, 3, shape);
  DLTensor labels = tensor(targets, kDLInt, 32, 2, shape);
  DLTensor reference = tensor(reference_values, kDLFloat, 32, 1, shape);
  DLTensor grad_logits = tensor(gradient, kDLFloat, 32, 3, shape);

  lr_loss_options loss = {.size = sizeof loss};
  if (lr_loss_init("sigmoid", &loss) != LR_OK) /* the loss of DPO with its defaults */
    return fail("lr_loss_init");

  lr_step_metrics metrics;
  lr_preference_step_args args = {
      .size = sizeof args,
      .loss_options = &loss,
      .token_options = {.ignore_index = -100, .temperature = 1},
      .sequence_options = {.reduction = LR_SUM, .tail_weight = 1, .keep_fraction = 1},
      .logits = &logits,
      .labels = &labels,
      .reference_logps = &reference,
      .grad_logits = &grad_logits,
      .metrics = &metrics};
  if (lr_preference_step(&args) != LR_OK)
    return fail("lr_preference_step");
  /* @end */

  printf("loss %.4f\nreward margin %.4f\ngradient", metrics.loss, metrics.rewards_margin);
  for (int k = 0; k < 12; ++k)
    printf(" %.4f", gradient[k]);
  printf("\n");

  targets[3] = 3; /* past the vocabulary */
  if (lr_preference_step(&args) != LR_INVALID_ARGUMENT)
    return fail("a label out of range was taken");
  printf("%s\n", lr_last_error());
  return 0;
}
