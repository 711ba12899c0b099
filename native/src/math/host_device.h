// Formulas in this folder are compiled for the host and, under nvcc, for the device.
#pragma once

#ifdef __CUDACC__
#define LR_HD __host__ __device__
#else
#define LR_HD
#endif

// For the formulas themselves: a call that passes a dozen doubles through memory costs as much as
// an exponential.
#define LR_FORCE_INLINE [[gnu::always_inline]] inline
