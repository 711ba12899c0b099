// Devices, memory, streams and events, by the CUDA runtime: one call of it each.
#include "resources.h"
#include "runtime.h"

namespace logratio::device::resources {
namespace {

// `call` is CUDA's function, and what it was asked for.
void check(cudaError_t error, const std::string& call) {
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // reported here, so not again by the next call
    throw Failure(LR_OUT_OF_MEMORY,
                  call + " failed: " + cudaGetErrorName(error) + ", " + cudaGetErrorString(error));
  }
  if (error != cudaSuccess)
    fail_cuda(error, (call + " failed").c_str());
}

int32_t is_done(cudaError_t error, const char* call) {
  if (error == cudaErrorNotReady) {
    cudaGetLastError();  // no failure, though the runtime keeps it as one
    return 0;
  }
  check(error, call);
  return 1;
}

std::string of_bytes(const char* call, uint64_t bytes) {
  return std::string(call) + " of " + std::to_string(bytes) + " bytes";
}

cudaStream_t stream_of(const Execution& execution) {
  return static_cast<cudaStream_t>(execution.stream);
}

cudaEvent_t event_of(void* event) { return static_cast<cudaEvent_t>(event); }

}  // namespace

void count(Execution&, int32_t* devices) {
  check(cudaGetDeviceCount(devices), "cudaGetDeviceCount");
}

void current(Execution&, int32_t* device) { check(cudaGetDevice(device), "cudaGetDevice"); }

void make_current(Execution& execution) {
  check_device(execution.device);
  check(cudaSetDevice(execution.device), "cudaSetDevice");
}

void synchronize(Execution&) { check(cudaDeviceSynchronize(), "cudaDeviceSynchronize"); }

void memory(Execution&, uint64_t* free_bytes, uint64_t* total_bytes) {
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  *free_bytes = free;
  *total_bytes = total;
}

void allocate(Execution&, uint64_t bytes, void** memory) {
  check(cudaMalloc(memory, bytes), of_bytes("cudaMalloc", bytes));
}

void free(Execution&, void* memory) { check(cudaFree(memory), "cudaFree"); }

void fill(Execution& execution, void* memory, int32_t value, uint64_t bytes) {
  check(cudaMemsetAsync(memory, value, bytes, stream_of(execution)), "cudaMemsetAsync");
}

// Addresses are of one space, so the runtime sees where each lies.
void copy(Execution& execution, void* to, const void* from, uint64_t bytes) {
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream_of(execution)),
        "cudaMemcpyAsync");
}

void pin(Execution&, void* memory, uint64_t bytes) {
  check(cudaHostRegister(memory, bytes, cudaHostRegisterDefault),
        of_bytes("cudaHostRegister", bytes));
}

void unpin(Execution&, void* memory) { check(cudaHostUnregister(memory), "cudaHostUnregister"); }

void create_stream(Execution&, void** stream) {
  check(cudaStreamCreate(reinterpret_cast<cudaStream_t*>(stream)), "cudaStreamCreate");
}

void destroy_stream(Execution& execution) {
  check(cudaStreamDestroy(stream_of(execution)), "cudaStreamDestroy");
}

void synchronize_stream(Execution& execution) {
  check(cudaStreamSynchronize(stream_of(execution)), "cudaStreamSynchronize");
}

void query_stream(Execution& execution, int32_t* done) {
  *done = is_done(cudaStreamQuery(stream_of(execution)), "cudaStreamQuery");
}

void wait(Execution& execution, void* event) {
  check(cudaStreamWaitEvent(stream_of(execution), event_of(event), cudaEventWaitDefault),
        "cudaStreamWaitEvent");
}

void create_event(Execution&, void** event) {
  check(cudaEventCreate(reinterpret_cast<cudaEvent_t*>(event)), "cudaEventCreate");
}

void destroy_event(Execution&, void* event) {
  check(cudaEventDestroy(event_of(event)), "cudaEventDestroy");
}

void record(Execution& execution, void* event) {
  check(cudaEventRecord(event_of(event), stream_of(execution)), "cudaEventRecord");
}

void synchronize_event(Execution&, void* event) {
  check(cudaEventSynchronize(event_of(event)), "cudaEventSynchronize");
}

void query_event(Execution&, void* event, int32_t* done) {
  *done = is_done(cudaEventQuery(event_of(event)), "cudaEventQuery");
}

void elapsed(Execution&, void* start, void* end, double* milliseconds) {
  float time = 0;
  check(cudaEventElapsedTime(&time, event_of(start), event_of(end)), "cudaEventElapsedTime");
  *milliseconds = time;
}

}  // namespace logratio::device::resources
