/* The public header in C11, without the compiler's extensions: one loss from start to end. */
#include "logratio.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

int main(void) {
  float chosen[1] = {-1.0F}, rejected[1] = {-1.5F}, loss[1] = {0.0F};
  int64_t shape[1] = {1};
  DLTensor tensors[3];
  lr_loss_options options;
  lr_pair_loss_args args;
  float* data[3] = {chosen, rejected, loss};
  char error[128];
  int k;
  memset(&args, 0, sizeof args);
  memset(tensors, 0, sizeof tensors);
  for (k = 0; k < 3; ++k) {
    tensors[k].data = data[k];
    tensors[k].device.device_type = kDLCPU;
    tensors[k].ndim = 1;
    tensors[k].dtype.code = kDLFloat;
    tensors[k].dtype.bits = 32;
    tensors[k].dtype.lanes = 1;
    tensors[k].shape = shape;
  }
  options.size = sizeof options;
  if (lr_abi_version() != LR_ABI_VERSION || lr_loss_init("sigmoid", &options) != LR_OK)
    return 1;
  args.size = sizeof args;
  args.error = error;
  args.error_capacity = sizeof error;
  args.loss_options = &options;
  args.policy_chosen = &tensors[0];
  args.policy_rejected = &tensors[1];
  args.loss = &tensors[2];
  if (lr_pair_loss(&args) != LR_OK) {
    printf("%s\n", error);
    return 2;
  }
  if (fabs(loss[0] - log1p(exp(-0.05))) > 1e-7) {
    printf("loss %.9g\n", loss[0]);
    return 3;
  }
  return 0;
}
