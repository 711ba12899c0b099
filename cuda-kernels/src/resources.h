// Devices, memory, streams and events: what device::Resources in the table leads to, by CUDA's
// runtime and by the emulator. A failure is thrown as Failure; library.cpp makes it a status.
#pragma once

#include "op/device_table.h"

namespace logratio::device::resources {

// These three make no device current.
void count(Execution& execution, int32_t* devices);
void current(Execution& execution, int32_t* device);
void make_current(Execution& execution);

void synchronize(Execution& execution);
void memory(Execution& execution, uint64_t* free_bytes, uint64_t* total_bytes);
void allocate(Execution& execution, uint64_t bytes, void** memory);
void free(Execution& execution, void* memory);
void fill(Execution& execution, void* memory, int32_t value, uint64_t bytes);
void copy(Execution& execution, void* to, const void* from, uint64_t bytes);
void pin(Execution& execution, void* memory, uint64_t bytes);
void unpin(Execution& execution, void* memory);

void create_stream(Execution& execution, void** stream);
void destroy_stream(Execution& execution);
void synchronize_stream(Execution& execution);
void query_stream(Execution& execution, int32_t* done);
void wait(Execution& execution, void* event);

void create_event(Execution& execution, void** event);
void destroy_event(Execution& execution, void* event);
void record(Execution& execution, void* event);
void synchronize_event(Execution& execution, void* event);
void query_event(Execution& execution, void* event, int32_t* done);
void elapsed(Execution& execution, void* start, void* end, double* milliseconds);

}  // namespace logratio::device::resources
